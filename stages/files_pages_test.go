package stages_test

import (
	"fmt"
	"testing"
	"time"

	"polarcast/messages"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesPagesUnderHardLoad takes one backup after the other of files whose pages are written all the time: the server has hardly any buffers, many clients, and makes one
// checkpoint after the other. No page may be called damaged, in backups by path and by SQL.
func TestFilesPagesUnderHardLoad(t *testing.T) {
	t.Parallel()
	rounds, lasts := 2, 8*time.Second
	if testenv.Soak() {
		rounds, lasts = 15, 5*time.Minute
	}
	for read, majors := range map[string][]int{source.ReadPath: {15}, source.ReadSQL: nil} {
		t.Run(read, func(t *testing.T) {
			testenv.SomeMajors(t, majors, func(t *testing.T, major int) {
				srv := testenv.Start(t, major, testenv.Options{Checksums: true, Conf: "shared_buffers = 512kB\nbgwriter_delay = 10ms\nmax_wal_size = 64MB\n"})
				srv.LoadTPCB(2, 10000)
				load := srv.StartTPCB(6)
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(stopped)
					for {
						select {
						case <-stop:
							return
						default:
							_ = srv.TryExec("postgres", "CHECKPOINT")
						}
					}
				}()
				defer func() { close(stop); <-stopped; load.Stop() }()
				for end, n := time.Now().Add(lasts), 0; n < rounds && (n == 0 || time.Now().Before(end)); n++ {
					r := newRig(t, srv, rigOptions{read: read, adjust: func(q *messages.Requested) { q.Slot = fmt.Sprintf("pc%d", n) }})
					r.writers()
					r.reader(3, nil)
					r.checkpoint()
					st := r.completed()
					if bad := st.Session().ReadDone.ChecksumFailures; bad != 0 || st.Session().Started.Session != 1 {
						t.Fatalf("backup %d: %d pages were called damaged, in session %d", n, bad, st.Session().Started.Session)
					}
				}
			})
		})
	}
}
