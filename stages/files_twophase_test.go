package stages_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/stages/tablespace"
	"polarcast/testenv"
)

// TestTwoPhase prepares a transaction after the start of a backup, behind ordinary ones, and has its file on disk before it is copied: the node has the
// prepared transaction all the same. Servers of 17 and 18 lose it when the file is in the copy.
func TestTwoPhase(t *testing.T) {
	t.Parallel()
	for kind, majors := range map[string][]int{"files": {13, 18}, "stream": {17}} {
		t.Run(kind, func(t *testing.T) {
			testenv.SomeMajors(t, majors, func(t *testing.T, major int) { twoPhase(t, major, kind) })
		})
	}
}

func twoPhase(t *testing.T, major int, kind string) {
	srv := testenv.Start(t, major, testenv.Options{Checksums: true, Conf: "max_prepared_transactions = 5\n"})
	srv.Exec("CREATE TABLE t (a int)", "CREATE TABLE filler AS SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 60000) g", "CHECKPOINT")
	prepare := func() {
		srv.Exec("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)", "BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'p'", "CHECKPOINT")
	}
	var r *rig
	if kind == "files" {
		done := false
		r = newRig(t, srv, rigOptions{read: source.ReadPath, open: func(rd source.Reader) source.Reader {
			return beforeList{rd, func() {
				if !done { // the checkpoint stage opens it first
					done = true
					prepare()
				}
			}}
		}})
		r.writers()
		r.reader(1, nil)
		r.checkpoint()
	} else {
		r = newRig(t, srv, rigOptions{adjust: func(q *messages.Requested) {
			q.Source, q.Options.MaxRate = "stream", 8192
			if major < 13 {
				q.Options.Manifest = "no" // such servers have none
			}
		}})
		r.writers()
		r.streamCheckpoint()
		r.run("tablespace", tablespace.New(tablespace.Config{Env: r.fresh(), Connect: r.replication}).Run)
		r.wait("the session", func(st pipeline.State) bool { return len(st.Sessions) > 0 })
		prepare()
	}
	r.completed()
	if kind == "files" || major >= 13 {
		r.verify()
	}
	if files, _ := os.ReadDir(filepath.Join(r.dir, "pg_twophase")); len(files) > 0 && (major >= 17 || kind == "files") {
		t.Errorf("the copy has %s of pg_twophase", files[0].Name())
	}
	c := testenv.StartCopy(t, major, r.dir, testenv.Primary, testenv.CopyOptions{})
	if n := c.Value("SELECT count(*) FROM pg_prepared_xacts"); n != "1" {
		t.Errorf("the copy has %s prepared transactions, want 1", n)
	}
	c.Exec("COMMIT PREPARED 'p'")
	if n := c.Value("SELECT count(*) FROM t"); n != "4" {
		t.Errorf("the copy has %s rows after the commit, want 4", n)
	}
}

// beforeList does something between the start of backup mode and the listing.
type beforeList struct {
	source.Reader
	do func()
}

func (b beforeList) List(ctx context.Context, fn func(source.Entry) error) error {
	b.do()
	return b.Reader.List(ctx, fn)
}
