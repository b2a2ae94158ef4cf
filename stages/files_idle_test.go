package stages_test

import (
	"testing"

	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesStitchIdle loses the session of a server that has just begun another WAL segment and writes nothing more, as archive_timeout has it: the position that the
// WAL must be read to is one that no record is at. It is gone on with all the same.
func TestFilesStitchIdle(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{16}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Checksums: true, Conf: "autovacuum = off\n"})
		srv.Exec("CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 400000) g", "VACUUM FREEZE t", "CHECKPOINT")
		r := newRig(t, srv, rigOptions{read: source.ReadPath, stitch: true})
		r.writers()
		g := newGate(0)
		r.reader(1, g.pass)
		r.checkpoint()
		total := share(r, g, 75) // in the middle of the table: small files are read while the listing goes on
		g.reached(t, total*75/100-2<<20)
		r.indexed(g)
		srv.Exec("INSERT INTO t VALUES (0, 'x')", "SELECT pg_switch_wal()", kill)
		r.wait("the second session", func(st pipeline.State) bool { return len(st.Sessions) > 1 })
		g.open()
		st := r.completed()
		if cur := st.Session().Started; cur.StitchedTo != 1 {
			t.Errorf("session %d is stitched to %d, want the first", cur.Session, cur.StitchedTo)
		}
		// What was delivered of the table, which was not complete, is neither sent nor read again.
		if d := st.Session().ReadDone; d.KeptBytes < total/10 {
			t.Errorf("%d of %d bytes were kept, want a tenth at least", d.KeptBytes, total)
		}
		if read := g.passed.Load(); read > total+4<<20 {
			t.Errorf("%d bytes were read of %d: what was delivered was read again", read, total)
		}
		r.verify()
	})
}
