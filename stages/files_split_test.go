package stages_test

import (
	"testing"

	"polarcast/stages/source"
	"polarcast/stages/work"
	"polarcast/testenv"
)

// TestFilesSplit copies a file that several readers share, one of which is killed in the middle of its range.
func TestFilesSplit(t *testing.T) {
	t.Parallel()
	for read, majors := range map[string][]int{source.ReadPath: nil, source.ReadSQL: {12}} {
		t.Run(read, func(t *testing.T) {
			testenv.SomeMajors(t, majors, func(t *testing.T, major int) {
				srv := testenv.Start(t, major, testenv.Options{Checksums: true})
				srv.Exec("CREATE TABLE wide AS SELECT g AS a, repeat(md5(g::text), 30) AS b FROM generate_series(1, 160000) g", "CREATE INDEX ON wide (a)", "CHECKPOINT")
				var size int64
				srv.QueryRow("SELECT pg_relation_size('wide')", &size)
				if size <= work.RangeSize {
					t.Fatalf("the table has %d bytes, and is not split", size)
				}
				r := newRig(t, srv, rigOptions{read: read})
				r.writers()
				g := newGate(30 << 20)
				killReader := r.reader(1, g.pass)
				r.checkpoint()
				g.reached(t, 28<<20)
				srv.Exec("UPDATE wide SET b = b || 'x' WHERE a % 1000 = 0")
				r.indexed(g)
				killReader()
				second := newGate(1 << 60)
				r.reader(2, second.pass)
				st := r.completed()
				if total := g.passed.Load() + second.passed.Load(); total > st.Session().ReadDone.Bytes+6<<20 {
					t.Errorf("%d bytes were read of %d: what was confirmed was read again", total, st.Session().ReadDone.Bytes)
				}
				r.verify()
				c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
				c.CaughtUp(srv)
				testenv.SameData(t, c.TableChecksums(), srv.TableChecksums())
			})
		})
	}
}
