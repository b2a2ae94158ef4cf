package stages_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesServerSetBack sets the server back to an earlier moment during a backup, as the snapshot of a machine does, and lets it write other WAL. The WAL
// that was captured does not belong to the files of the next session, so the backup ends by name.
func TestFilesServerSetBack(t *testing.T) {
	t.Parallel()
	for name, catchesUp := range map[string]bool{"behind": false, "caught up": true} {
		t.Run(name, func(t *testing.T) {
			testenv.SomeMajors(t, []int{15}, func(t *testing.T, major int) {
				srv := testenv.Start(t, major, testenv.Options{})
				srv.Exec("CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g", "CHECKPOINT")
				r := newRig(t, srv, rigOptions{read: source.ReadPath})
				r.storage()
				r.node()
				killed := r.wal()
				g := newGate(0)
				r.reader(1, g.pass)
				r.checkpoint()
				sessions := func(n int) {
					r.wait("a session", func(st pipeline.State) bool { return len(st.Sessions) >= n && st.WALStarted != nil })
				}
				sessions(1)
				srv.Stop(testenv.Immediate)
				snapshot := filepath.Join(testenv.Dir(t), "snapshot")
				copyDir := func(from, to string) {
					if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				}
				copyDir(srv.Data, snapshot)
				srv.Start()
				sessions(2)
				srv.Exec("UPDATE t SET md5 = 'x' WHERE g % 7 = 0")
				captured := srv.LSN()
				srv.Exec("SELECT pg_switch_wal()", "UPDATE t SET md5 = 'y' WHERE g % 7 = 1")
				top := srv.LSN()
				srv.Eventually("the WAL is captured", func() (bool, error) {
					v, err := srv.TryValue("postgres", "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pc' AND restart_lsn >= '"+captured+"'")
					return v == "1", err
				})
				if catchesUp { // or it would see that the server is behind
					killed()
				}
				srv.Stop(testenv.Immediate)
				if err := os.RemoveAll(srv.Data); err != nil {
					t.Fatal(err)
				}
				copyDir(snapshot, srv.Data)
				srv.Start()
				if catchesUp { // when the next session has begun, which needs the WAL from there on
					sessions(3)
					for srv.Value("SELECT CASE WHEN pg_current_wal_flush_lsn() > pg_lsn '"+top+"' THEN 'yes' END") != "yes" {
						srv.Exec("SELECT pg_switch_wal()", "UPDATE t SET md5 = 'other' WHERE g < 100")
					}
					r.wal()
				}
				g.open()
				for {
					r.mu.Lock()
					err := errors.Join(r.errs...)
					r.mu.Unlock()
					st, stErr := r.env.Log().State(r.ctx)
					switch {
					case stErr != nil:
						t.Fatal(stErr)
					case st.Completed != nil:
						t.Fatal("the backup was completed with WAL of another history")
					case err != nil && strings.Contains(err.Error(), "set back"):
						return
					case err != nil:
						t.Fatal(err)
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		})
	}
}
