package stages_test

import (
	"testing"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesStitchSlotWithoutReserve uses a slot that was made without reserving WAL: from its first use on it holds what a further session has to look through.
func TestFilesStitchSlotWithoutReserve(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{12}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Conf: "autovacuum = off\n"})
		srv.Exec("SELECT pg_create_physical_replication_slot('pc')")
		r := newRig(t, srv, rigOptions{read: source.ReadPath, stitch: true, adjust: func(q *messages.Requested) { q.CreateSlot = false }})
		r.writers()
		g := newGate(0)
		r.reader(1, g.pass)
		r.checkpoint()
		st := r.wait("WAL to be captured", func(st pipeline.State) bool { return st.WALStarted != nil && len(st.Sessions) > 0 })
		var held postgres.LSN
		srv.Eventually("the slot holds WAL", func() (bool, error) {
			v, err := srv.TryValue("postgres", "SELECT coalesce(restart_lsn::text, '') FROM pg_replication_slots WHERE slot_name = 'pc'")
			if err == nil && v != "" {
				held, err = postgres.ParseLSN(v)
			}
			return held != 0, err
		})
		if first := postgres.LSN(st.Sessions[0].Started.Redo); held > first {
			t.Errorf("the slot holds WAL from %s on, the first session began at %s", held, first)
		}
		g.open()
		if d := r.completed().Session().ReadDone; d.SentBytes*20 < d.Bytes {
			t.Errorf("%d bytes were sent of %d, compressed: a report of the last moment is not counted", d.SentBytes, d.Bytes)
		}
	})
}

// TestFilesStitchSlotMovesOn lets the server remove most of the backup's WAL before the session is lost, twice with the process that holds it: what was looked
// through need not stay.
func TestFilesStitchSlotMovesOn(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{16}, func(t *testing.T, major int) {
		s := stitchRig(t, major, 60, false)
		first := postgres.LSN(s.wait("its state", func(pipeline.State) bool { return true }).Sessions[0].Started.Redo)
		s.letsGo(first + 8*segment)
		s.restart()
		s.session(2)
		s.letsGo(s.scanned() + 8*segment)
		s.restart()
		s.session(3)
		st := s.rest()
		if cur := st.Session().Started; cur.StitchedTo != 1 || cur.StartLSN != st.Sessions[0].Started.StartLSN {
			t.Errorf("the last session is stitched to %d and begins at %s, the first at %s; refused: %s", cur.StitchedTo, cur.StartLSN, first, s.refusals(st))
		}
		s.verify()
		n := testenv.StartCopy(t, major, s.dir, testenv.Standby, testenv.CopyOptions{Primary: s.srv})
		n.CaughtUp(s.srv)
		testenv.SameData(t, n.TableChecksums(), s.srv.TableChecksums())
		n.CheckTPCB()
	})
}

// TestFilesStitchOtherWAL goes on with a session whose last record that was looked at is another one on the server now.
func TestFilesStitchOtherWAL(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{14}, func(t *testing.T, major int) {
		s := stitchRig(t, major, 60, false)
		s.letsGo(postgres.LSN(s.wait("its state", func(pipeline.State) bool { return true }).Sessions[0].Started.Redo) + 2*segment)
		st := s.wait("some WAL to be looked through", func(st pipeline.State) bool { return st.Session().Scanned != nil })
		s.kill()
		other := *st.Session().Scanned
		other.CRC ^= 1
		if err := s.env.Append(s.ctx, "test", messages.EventWALScanned, other); err != nil {
			t.Fatal(err)
		}
		s.kill = s.checkpoint()
		s.session(2)
		s.compares(s.rest(), "set back")
	})
}
