package stages_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestChunksBeyondTheIndex has a reader that is killed, together with its session, after it had published chunks and before the index said so: of a file
// and a directory that the next session does not list, and of a file that the next session finds as the one before had delivered it.
func TestChunksBeyondTheIndex(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{15}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Conf: "autovacuum = off\n"})
		srv.Exec("CREATE TABLE big AS SELECT g AS a, md5(g::text) AS b FROM generate_series(1, 60000) g", "CHECKPOINT")
		r := newRig(t, srv, rigOptions{read: source.ReadPath})
		r.writers()
		g := newGate(0)
		r.reader(1, g.pass)
		r.checkpoint()
		total := share(r, g, 60)
		g.reached(t, total*60/100-2<<20)
		r.indexed(g)
		r.drained()
		name, size := r.delivered()
		lose := func(n int) {
			t.Helper()
			srv.Exec(kill)
			r.wait("the loss of the session", func(st pipeline.State) bool { return len(st.Sessions) >= n && st.Sessions[n-1].Lost != nil })
		}
		lose(1)
		r.wait("the second session", func(st pipeline.State) bool { return st.Session().Started.Session == 2 })
		r.stray(&messages.Record{Kind: messages.KindDirectory, Session: 2, Path: "base/99"}, nil)
		r.stray(&messages.Record{Session: 2, Path: "base/99/1", Size: 20}, []byte("what was dropped ..."))
		r.stray(&messages.Record{Session: 2, Path: name, Size: size}, bytes.Repeat([]byte("another "), messages.ChunkSize/8))
		r.drained()
		if !exists(filepath.Join(r.dir, "base/99/1")) {
			t.Fatal("the target did not write what was published")
		}
		lose(2)
		g.open()
		r.completed()
		if exists(filepath.Join(r.dir, "base/99")) {
			t.Error("what the last session did not list is in the copy")
		}
		r.verify()
	})
}

// stray publishes a record and no index of it.
func (r *rig) stray(rec *messages.Record, data []byte) {
	r.t.Helper()
	p := r.client.ChunkPublisher(r.id, pipeline.PublisherOptions{})
	rec.Mode = 0o600
	buf := p.Buffer()
	if data == nil {
		rec.Mode = 0o700
		buf = messages.AppendRecord(buf, rec)
	} else {
		buf = messages.NewCompressor(messages.CodecLZ4, 0).AppendData(buf, rec, data)
	}
	if err := p.Publish(r.ctx, pipeline.SubjectData, buf, func(uint64, error) {}); err != nil {
		r.t.Fatal(err)
	}
	if err := p.Flush(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// delivered returns a file of the copy that is as it is in the source, and longer than a chunk.
func (r *rig) delivered() (path string, size int64) {
	r.t.Helper()
	found, err := filepath.Glob(r.dir + "/base/*/*")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range found {
		path, _ = filepath.Rel(r.dir, f)
		have, err := os.ReadFile(f)
		want, err2 := os.ReadFile(r.srv.Path(path))
		if err := errors.Join(err, err2); err != nil {
			r.t.Fatal(err)
		}
		if len(have) > messages.ChunkSize && bytes.Equal(have, want) {
			return path, int64(len(have))
		}
	}
	r.t.Fatal("nothing was delivered")
	return
}

// drained waits until the targets have written what was published.
func (r *rig) drained() {
	r.t.Helper()
	if err := r.env.Drained(r.ctx, nil); err != nil {
		r.t.Fatal(err)
	}
}
