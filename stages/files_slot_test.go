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
