package stages_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// stitchRig takes most of a backup, changes what was delivered, and loses the session in a way.
func stitchRig(t *testing.T, major int, lose func(srv *testenv.Server, restart func())) (*rig, *testenv.Server, *testenv.Load, *gate, int64) {
	srv, load := busy(t, major)
	r := newRig(t, srv, rigOptions{read: source.ReadPath, stitch: true})
	r.writers()
	g := newGate(0)
	r.reader(2, g.pass)
	killed := r.checkpoint()
	total := share(r, g, 80)
	g.reached(t, total*80/100-3<<20)
	r.indexed(g)
	for _, name := range bigTables {
		srv.Exec("UPDATE " + name + " SET b = b || 'x' WHERE a % 3 = 0")
	}
	srv.Exec("CREATE TABLE late AS SELECT * FROM big WHERE a < 1000", "CREATE INDEX ON late (b)")
	lose(srv, func() { killed(); killed = r.checkpoint() })
	return r, srv, load, g, total
}

var losses = map[string]func(srv *testenv.Server, restart func()){
	"terminated": func(srv *testenv.Server, _ func()) { srv.Exec(kill) },
	"fast":       func(srv *testenv.Server, _ func()) { srv.Restart(testenv.Fast) },
	"immediate":  func(srv *testenv.Server, _ func()) { srv.Restart(testenv.Immediate) },
	"checkpoint": func(_ *testenv.Server, restart func()) { restart() },
}

// stitchMajors are the versions of an ordinary run: each way to lose a session, and each refusal, with another one.
var stitchMajors = map[string][]int{"terminated": {18}, "fast": {15}, "immediate": {11}, "checkpoint": {13}, "full_page_writes": {16}, "tablespace": {12}, "database": {14}}

// TestFilesStitched loses the session, goes on without reading again what was delivered, and compares the node with the source. The naive way, which
// gives the node the last session's label, must fail the same comparison.
func TestFilesStitched(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			testenv.SomeMajors(t, stitchMajors[name], func(t *testing.T, major int) {
				r, srv, load, g, total := stitchRig(t, major, lose)
				r.wait("the second session", func(st pipeline.State) bool { return len(st.Sessions) > 1 })
				var redo, checkpoint string
				srv.QueryRow("SELECT redo_lsn::text, checkpoint_lsn::text FROM pg_control_checkpoint()", &redo, &checkpoint)
				g.open()
				st := r.completed()
				load.Stop()
				cur := st.Session()
				if cur.Started.StitchedTo != 1 {
					t.Fatalf("session %d is stitched to %d, want the first: %+v", cur.Started.Session, cur.Started.StitchedTo, st.Sessions[len(st.Sessions)-2].Lost)
				}
				if cur.Started.StartLSN != st.Sessions[0].Started.StartLSN {
					t.Errorf("the stitched session begins at %s, the first at %s", cur.Started.StartLSN, st.Sessions[0].Started.StartLSN)
				}
				if cur.ReadDone.Bytes > total*60/100 {
					t.Errorf("the second session read %d bytes of %d", cur.ReadDone.Bytes, total)
				}
				r.verify()
				naive := naiveCopy(t, r.dir, redo, checkpoint)
				// As an independent node first, on a copy of the copy; then as a standby, which catches up with what came after.
				want := srv.TableChecksums()
				c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
				c.CaughtUp(srv)
				testenv.SameData(t, c.TableChecksums(), want)
				c.CheckTPCB()
				n := testenv.PrepareCopy(t, major, naive, testenv.Standby, testenv.CopyOptions{Primary: srv})
				if err := n.TryStart(); err != nil {
					return // refused at the start: not silent, and not a node
				}
				n.CaughtUp(srv)
				if sameBig(t, n, srv) {
					t.Error("the naive way gave the same data: this test would not see a corrupt node")
				}
			})
		})
	}
}

// sameBig compares the large tables; a table that cannot be read is not the same.
func sameBig(t *testing.T, got, want *testenv.Server) bool {
	t.Helper()
	for _, name := range []string{"big", "big1", "big2", "big3", "late"} {
		sql := "SELECT md5(string_agg(b, '' ORDER BY a)) FROM " + name
		a, err := got.TryValue("postgres", sql)
		if err != nil || a != want.Value(sql) {
			return false
		}
	}
	return true
}

// naiveCopy makes what a backup would be that joins the files of both sessions and begins at the last one.
func naiveCopy(t *testing.T, dir, redo, checkpoint string) string {
	t.Helper()
	to := filepath.Join(testenv.Dir(t), "naive")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(to, "backup_label"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := postgres.ParseBackupLabel(b)
	if err != nil {
		t.Fatal(err)
	}
	if l.From != postgres.FromStandby {
		t.Errorf("the stitched label says %q", b)
	}
	lsn := func(s string) postgres.LSN {
		v, err := postgres.ParseLSN(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	l = postgres.StitchedLabel(lsn(redo), lsn(checkpoint), l.StartTimeline, 16<<20, l.StartTime, l.Label)
	l.From = postgres.FromPrimary
	if err := os.WriteFile(filepath.Join(to, "backup_label"), l.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(to, "global/pg_control")
	b, err = os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := postgres.ParseControl(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != postgres.DBInArchiveRecovery || c.MinRecoveryPoint == 0 {
		t.Errorf("the stitched control file has state %s and minimum recovery point %s", c.State, c.MinRecoveryPoint)
	}
	c.State, c.MinRecoveryPoint, c.MinRecoveryTimeline = postgres.DBInProduction, 0, 0
	if err := os.WriteFile(name, c.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestFilesStitchRefused does things during the backup after which sessions must not be joined: the backup compares instead, and is right.
func TestFilesStitchRefused(t *testing.T) {
	for name, do := range map[string]func(*testenv.Server){
		"full_page_writes": func(srv *testenv.Server) {
			srv.Exec("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()", "CHECKPOINT", "ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()", "CHECKPOINT")
		},
		"tablespace": func(srv *testenv.Server) { srv.Tablespace("ts9"); srv.Exec("DROP TABLESPACE ts9") },
		"database": func(srv *testenv.Server) {
			if srv.Major >= 15 {
				srv.Exec("CREATE DATABASE d9 STRATEGY file_copy")
			} else {
				srv.Exec("CREATE DATABASE d9")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.SomeMajors(t, stitchMajors[name], func(t *testing.T, major int) {
				r, srv, load, g, _ := stitchRig(t, major, func(srv *testenv.Server, _ func()) { do(srv); srv.Exec(kill) })
				g.open()
				st := r.completed()
				load.Stop()
				cur := st.Session()
				if cur.Started.StitchedTo != 0 {
					t.Fatalf("session %d is stitched to %d", cur.Started.Session, cur.Started.StitchedTo)
				}
				said := false
				for _, s := range st.Sessions {
					said = said || s.Lost != nil && strings.Contains(s.Lost.Error, "stitching refused")
				}
				_ = r.env.Log().Events(r.ctx, 0, false, func(_ uint64, ev messages.Event) error {
					said = said || strings.Contains(string(ev.Data), "stitching refused")
					return nil
				})
				if !said {
					t.Error("nobody said that stitching was refused")
				}
				r.verify()
				c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
				c.CaughtUp(srv)
				testenv.SameData(t, c.TableChecksums(), srv.TableChecksums())
			})
		})
	}
}
