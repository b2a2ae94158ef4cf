package stages_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"polarcast/pipeline"
	"polarcast/stages/checkpoint"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// gate lets bytes pass up to a mark, and the rest when it is opened.
type gate struct {
	passed atomic.Int64
	limit  atomic.Int64
}

func newGate(limit int64) *gate {
	g := &gate{}
	g.limit.Store(limit)
	return g
}

func (g *gate) pass(ctx context.Context, n int) error {
	for g.passed.Load()+int64(n) > g.limit.Load() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
	g.passed.Add(int64(n))
	return nil
}

func (g *gate) open() { g.limit.Store(1 << 60) }

// reached waits until the gate holds somebody back.
func (g *gate) reached(t *testing.T, n int64) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); g.passed.Load() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d bytes were read", g.passed.Load(), n)
		}
	}
}

const kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + checkpoint.SessionName + "'"

// busy makes a server with about 60 MB in it, and a load.
func busy(t *testing.T, major int) (*testenv.Server, *testenv.Load) {
	srv := testenv.Start(t, major, testenv.Options{Checksums: true})
	srv.LoadTPCB(1, 20000)
	for _, name := range []string{"big", "big1", "big2", "big3"} {
		srv.Exec("CREATE TABLE "+name+" AS SELECT g AS a, md5(g::text) || md5((g+1)::text) AS b FROM generate_series(1, 100000) g", "CREATE INDEX ON "+name+" (a)")
	}
	srv.Exec("CHECKPOINT")
	return srv, srv.StartTPCB(1)
}

func lostMajors(t *testing.T, fn func(t *testing.T, major int)) {
	testenv.EachMajor(t, fn)
}

// TestFilesReaderKilled kills a reader in the middle of an item: another one goes on, and what JetStream had confirmed is not read again.
func TestFilesReaderKilled(t *testing.T) {
	lostMajors(t, func(t *testing.T, major int) {
		srv, load := busy(t, major)
		r := newRig(t, srv, rigOptions{read: source.ReadPath})
		r.writers()
		g := newGate(20 << 20)
		killReader := r.reader(1, g.pass)
		r.checkpoint()
		g.reached(t, 18<<20)
		time.Sleep(700 * time.Millisecond) // what was read so far gets into the index
		killReader()
		second := newGate(1 << 60)
		r.reader(2, second.pass)
		st := r.completed()
		load.Stop()
		cur := st.Session()
		if cur.Started.Session != 1 {
			t.Errorf("session %d, want the first one to go on", cur.Started.Session)
		}
		total := g.passed.Load() + second.passed.Load()
		// What a killed reader loses is what was read and not yet confirmed: some messages, and the items behind the one at hand.
		if most := cur.ReadDone.Bytes + 4<<20; total > most {
			t.Errorf("%d bytes were read of %d: what was confirmed was read again", total, cur.ReadDone.Bytes)
		}
		r.verify()
		c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
		c.CaughtUp(srv)
		testenv.SameData(t, c.TableChecksums(), srv.TableChecksums())
	})
}

// TestFilesSessionLost terminates the session that holds backup mode: a new one compares, and sends only what differs.
func TestFilesSessionLost(t *testing.T) {
	for _, read := range []string{source.ReadPath, source.ReadSQL} {
		t.Run(read, func(t *testing.T) {
			lostMajors(t, func(t *testing.T, major int) {
				srv, load := busy(t, major)
				srv.Exec("CREATE TABLE dropped AS SELECT g FROM generate_series(1, 1000) g", "CHECKPOINT")
				var name string
				srv.QueryRow("SELECT pg_relation_filepath('dropped')", &name)
				r := newRig(t, srv, rigOptions{read: read})
				r.writers()
				g := newGate(40 << 20)
				r.reader(2, g.pass)
				r.checkpoint()
				g.reached(t, 36<<20)
				time.Sleep(700 * time.Millisecond)
				srv.Exec("DROP TABLE dropped", "CHECKPOINT", kill)
				r.wait("the loss of the session", func(st pipeline.State) bool { return len(st.Sessions) > 0 && st.Sessions[0].Lost != nil })
				g.open()
				st := r.completed()
				load.Stop()
				cur := st.Session()
				if cur.Started.Session < 2 || cur.Started.StitchedTo != 0 {
					t.Fatalf("session %d was the last, stitched to %d, want a second one that compares", cur.Started.Session, cur.Started.StitchedTo)
				}
				if cur.ReadDone.UnchangedBytes < 20<<20 {
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
	lostMajors(t, func(t *testing.T, major int) {
		srv, load := busy(t, major)
		r := newRig(t, srv, rigOptions{read: source.ReadPath})
		r.writers()
		g := newGate(30 << 20)
		r.reader(2, g.pass)
		killCheckpoint := r.checkpoint()
		g.reached(t, 28<<20)
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
