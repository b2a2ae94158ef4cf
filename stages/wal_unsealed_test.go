package stages_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestASegmentThatAKilledProcessLeftIsSealed ends a backup of which a wal stage had captured all WAL, or all up to the end, when it was killed before the
// seal was in the index: the next one has nothing left to read, and seals the segment all the same. The auditor would otherwise ask for everything again.
func TestASegmentThatAKilledProcessLeftIsSealed(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{15}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Conf: "autovacuum = off\n"})
		for _, c := range []struct {
			name string
			upTo func(end postgres.LSN, size int64) int64
		}{
			{"to its end", func(_ postgres.LSN, size int64) int64 { return size }},
			{"to the end of the backup", func(end postgres.LSN, size int64) int64 { return end.SegmentOffset(size) }},
		} {
			t.Run(c.name, func(t *testing.T) {
				slot := fmt.Sprintf("pc%d", time.Now().UnixNano())
				r := newRig(t, srv, rigOptions{read: source.ReadPath, adjust: func(q *messages.Requested) { q.Slot, q.OwnSlot = slot, true }})
				g := newGate(0)
				r.reader(1, g.pass)
				r.checkpoint()
				kill := r.wal()
				r.wait("WAL to be captured", func(st pipeline.State) bool { return st.WALStarted != nil })
				kill()
				g.open()
				st := r.wait("the end of the session", func(st pipeline.State) bool { return st.Session() != nil && st.Session().Stopped != nil })
				r.leave(st, c.upTo)
				r.writers()
				st = r.completed()
				if n := len(st.Sessions); n != 1 || st.Targets["main"].Missing != nil {
					t.Errorf("the backup took %d sessions, missing: %+v", n, st.Targets["main"].Missing)
				}
			})
		}
	})
}

// leave publishes the last segment of the session without its seal, as a wal stage that is killed then.
func (r *rig) leave(st pipeline.State, upTo func(end postgres.LSN, size int64) int64) {
	r.t.Helper()
	size, end := st.Prepared.WALSegmentSize, postgres.LSN(st.Session().Stopped.EndLSN)
	name := postgres.SegmentName(st.Prepared.Timeline, end-1, size)
	data, err := os.ReadFile(filepath.Join(r.srv.Data, "pg_wal", name))
	if err != nil {
		r.t.Fatal(err)
	}
	f, err := feed.New(context.Background(), feed.Config{Client: r.client, Backup: r.id, Session: 1, Subject: pipeline.SubjectWAL, Workers: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Abort(nil)
	err = errors.Join(f.StartFile(messages.Record{Tree: messages.TreeWAL, Path: name}, size), f.Write(data[:upTo(end, size)]), f.Sync())
	if err != nil {
		r.t.Fatal(err)
	}
}
