package stages_test

import (
	"testing"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestWALOfAnIdleServerIsPublished waits for the little WAL that the start of a backup writes: a session that is lost then is gone on with (--stitch) only when
// it is in the index.
func TestWALOfAnIdleServerIsPublished(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{16}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Conf: "autovacuum = off\nwal_sender_timeout = 0\n"})
		r := newRig(t, srv, rigOptions{read: source.ReadPath})
		g := newGate(0)
		r.reader(1, g.pass)
		r.checkpoint()
		r.wal()
		r.wait("WAL to be captured", func(st pipeline.State) bool { return st.WALStarted != nil })
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			found := false
			err := r.client.Index(t.Context(), r.id, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
				rd, rec := messages.NewReader(data), messages.Record{}
				for rd.Next(&rec) == nil {
					found = found || rec.Kind == messages.KindPart && rec.Tree == messages.TreeWAL
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if found {
				break
			}
			if time.Now().After(end) {
				t.Fatal("no WAL is in the index after 20 s")
			}
		}
		g.open()
	})
}
