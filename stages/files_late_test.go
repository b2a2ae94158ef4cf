package stages_test

import (
	"bytes"
	"os"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesLateReader publishes what a reader of the first session would that was stopped until a second one had begun to publish: it is not written, by the
// storage that saw the second session begin, and by one that is started after it.
func TestFilesLateReader(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]bool{"same storage": false, "storage started again": true} {
		t.Run(name, func(t *testing.T) {
			testenv.SomeMajors(t, []int{15}, func(t *testing.T, major int) { lateReader(t, major, fresh) })
		})
	}
}

func lateReader(t *testing.T, major int, fresh bool) {
	srv := testenv.Start(t, major, testenv.Options{Checksums: true})
	srv.Exec("CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g", "CHECKPOINT")
	path := srv.Value("SELECT pg_relation_filepath('t')")
	r := newRig(t, srv, rigOptions{read: source.ReadPath})
	killStorage := r.storage()
	r.walAndNode()
	g := newGate(0)
	r.reader(1, g.pass)
	r.checkpoint()
	total := share(r, g, 90)
	g.reached(t, total*90/100-3<<20)
	r.indexed(g)
	srv.Exec(kill)
	r.wait("the second session", func(st pipeline.State) bool { return len(st.Sessions) > 1 })
	g.limit.Add(2 << 20)
	g.reached(t, g.limit.Load()-1<<20)
	if fresh {
		killStorage()
	}
	f, err := feed.New(r.ctx, feed.Config{Client: r.client, Backup: r.id, Session: 1, Subject: pipeline.SubjectData, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	old := bytes.Repeat([]byte("old"), 8192)[:8192]
	if err := f.StartFile(messages.Record{Path: path}, int64(len(old))); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(old); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if fresh {
		r.storage()
	}
	g.open()
	st := r.completed()
	if n := st.Session().Started; n.Session < 2 || n.ChunkSeq == 0 {
		t.Errorf("session %d begins behind message %d, want a second session that knows", n.Session, n.ChunkSeq)
	}
	want, _ := os.ReadFile(srv.Path(path))
	if got, err := os.ReadFile(r.dir + "/" + path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the source has (%v): the late reader's bytes are in it: %v", path, err, bytes.Contains(got, old))
	}
	r.verify()
}
