package stages_test

import (
	"fmt"
	"testing"

	"polarcast/pipeline"
	"polarcast/stages/checkpoint"
	"polarcast/stages/source"
	"polarcast/testenv"
)

const kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + checkpoint.SessionName + "'"

var bigTables = []string{"big", "big1", "big2", "big3"}

// busy makes a server with about 45 MB in it (a soak run: 80), and a load.
func busy(t *testing.T, major int) (*testenv.Server, *testenv.Load) {
	srv := testenv.Start(t, major, testenv.Options{Checksums: true, Conf: "max_prepared_transactions = 300\n"})
	srv.LoadTPCB(1, 20000)
	rows := 30000
	if testenv.Soak() {
		rows = 100000
	}
	for _, name := range bigTables {
		srv.Exec(fmt.Sprintf("CREATE TABLE %s AS SELECT g AS a, md5(g::text) || md5((g+1)::text) AS b FROM generate_series(1, %d) g", name, rows), "CREATE INDEX ON "+name+" (a)")
	}
	srv.Exec("CHECKPOINT")
	return srv, srv.StartTPCB(1)
}

// TestFilesReaderKilled kills a reader in the middle of an item: another one goes on, and what JetStream had confirmed is not read again.
func TestFilesReaderKilled(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{17}, func(t *testing.T, major int) {
		srv, load := busy(t, major)
		r := newRig(t, srv, rigOptions{read: source.ReadPath})
		r.writers()
		g := newGate(0)
		killReader := r.reader(1, g.pass)
		r.checkpoint()
		total := share(r, g, 40)
		g.reached(t, total*40/100-2<<20)
		r.indexed(g)
		killReader()
		second := newGate(1 << 60)
		r.reader(2, second.pass)
		st := r.completed()
		load.Stop()
		cur := st.Session()
		if cur.Started.Session != 1 {
			t.Errorf("session %d, want the first one to go on", cur.Started.Session)
		}
		read := g.passed.Load() + second.passed.Load()
		// What a killed reader loses is what was read and not yet confirmed: some messages, and the items behind the one at hand.
		if most := cur.ReadDone.Bytes + 4<<20; read > most {
			t.Errorf("%d bytes were read of %d: what was confirmed was read again", read, cur.ReadDone.Bytes)
		}
		r.verify()
		c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
		c.CaughtUp(srv)
		testenv.SameData(t, c.TableChecksums(), srv.TableChecksums())
	})
}

// TestFilesSessionLost terminates the session that holds backup mode: a new one compares, and sends only what differs.
func TestFilesSessionLost(t *testing.T) {
	t.Parallel()
	for read, majors := range map[string][]int{source.ReadPath: {16}, source.ReadSQL: {11}} {
		t.Run(read, func(t *testing.T) {
			testenv.SomeMajors(t, majors, func(t *testing.T, major int) {
				srv, load := busy(t, major)
				srv.Exec("CREATE TABLE dropped AS SELECT g FROM generate_series(1, 1000) g", "CHECKPOINT")
				var name string
				srv.QueryRow("SELECT pg_relation_filepath('dropped')", &name)
				r := newRig(t, srv, rigOptions{read: read})
				r.writers()
				g := newGate(0)
				r.reader(2, g.pass)
				r.checkpoint()
				total := share(r, g, 70)
				g.reached(t, total*70/100-3<<20)
				r.indexed(g)
				srv.Exec("DROP TABLE dropped", "CHECKPOINT")
				if read == source.ReadSQL {
					srv.Restart(testenv.Immediate) // readers connect again, and must not go on with the session that is gone
				} else {
					srv.Exec(kill)
				}
				r.wait("the loss of the session", func(st pipeline.State) bool { return len(st.Sessions) > 0 && st.Sessions[0].Lost != nil })
				g.open()
				st := r.completed()
				load.Stop()
				cur := st.Session()
				if cur.Started.Session < 2 || cur.Started.StitchedTo != 0 {
					t.Fatalf("session %d was the last, stitched to %d, want a second one that compares", cur.Started.Session, cur.Started.StitchedTo)
				}
				if cur.ReadDone.UnchangedBytes < total*50/100 {
					t.Errorf("%d of %d bytes were found unchanged: what was delivered was sent again", cur.ReadDone.UnchangedBytes, cur.ReadDone.Bytes)
				}
				if exists(r.dir + "/" + name) {
					t.Errorf("%s was dropped between the sessions, and is in the copy", name)
				}
				r.verify()
				c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
				c.CaughtUp(srv)
				testenv.SameData(t, c.TableChecksums(), srv.TableChecksums())
			})
		})
	}
}

// TestFilesCheckpointKilled kills the stage that holds backup mode.
func TestFilesCheckpointKilled(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{13}, func(t *testing.T, major int) {
		srv, load := busy(t, major)
		r := newRig(t, srv, rigOptions{read: source.ReadPath})
		r.writers()
		g := newGate(0)
		r.reader(2, g.pass)
		killCheckpoint := r.checkpoint()
		total := share(r, g, 60)
		g.reached(t, total*60/100-3<<20)
		killCheckpoint()
		r.checkpoint()
		r.wait("the second session", func(st pipeline.State) bool { return len(st.Sessions) > 1 })
		g.open()
		st := r.completed()
		load.Stop()
		if n := st.Session().Started.Session; n != 2 {
			t.Errorf("session %d, want 2", n)
		}
		r.verify()
		c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
		c.CaughtUp(srv)
		testenv.SameData(t, c.TableChecksums(), srv.TableChecksums())
	})
}
