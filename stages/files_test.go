package stages_test

import (
	"os"
	"path/filepath"
	"testing"

	"polarcast/stages/source"
	"polarcast/stages/target"
	"polarcast/testenv"
)

// TestFilesUnderLoad takes a backup of a busy server by files and starts it.
func TestFilesUnderLoad(t *testing.T) {
	for read, majors := range map[string][]int{source.ReadPath: {12, 18}, source.ReadSQL: {15}} {
		t.Run(read, func(t *testing.T) {
			testenv.SomeMajors(t, majors, func(t *testing.T, major int) { backupUnderLoad(t, major, read) })
		})
	}
}

func backupUnderLoad(t *testing.T, major int, read string) {
	srv := testenv.Start(t, major, testenv.Options{Checksums: true})
	srv.LoadTPCB(2, 20000)
	space := srv.Tablespace("ts1")
	srv.Exec("CREATE TABLE in_space (a int, b text) TABLESPACE ts1", "INSERT INTO in_space SELECT g, repeat('x', 200) FROM generate_series(1, 5000) g",
		"CREATE UNLOGGED TABLE unlogged (a int)", "INSERT INTO unlogged VALUES (1)")
	here := filepath.Join(testenv.Dir(t), "ts1")
	load, ddl := srv.StartTPCB(2), srv.StartDDL(1)
	r := newRig(t, srv, rigOptions{read: read, spaces: []target.Mapping{{Old: space, New: here}}})
	r.writers()
	r.reader(2, nil)
	r.checkpoint()
	st := r.completed()
	load.Stop()
	ddl.Stop()
	cur := st.Session()
	if cur.Started.Session != 1 || cur.ReadDone.ChecksumFailures != 0 {
		t.Errorf("session %d, %d checksum failures, want 1 and none", cur.Started.Session, cur.ReadDone.ChecksumFailures)
	}
	if cur.ReadDone.Files == 0 || cur.ReadDone.Bytes == 0 {
		t.Errorf("the event log counts %d files, %d bytes", cur.ReadDone.Files, cur.ReadDone.Bytes)
	}
	label, err := os.ReadFile(filepath.Join(r.dir, "backup_label"))
	if err != nil || string(label) != string(cur.Stopped.Label) {
		t.Errorf("backup_label is %q (%v), the server gave %q", label, err, cur.Stopped.Label)
	}
	if exists(filepath.Join(r.dir, "postmaster.pid")) {
		t.Error("the copy has the source's postmaster.pid")
	}
	r.verify()
	// A standby that has caught up holds what the source holds.
	c := testenv.StartCopy(t, major, r.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
	c.CaughtUp(srv)
	testenv.SameData(t, c.TableChecksums(), srv.TableChecksums())
	c.CheckTPCB()
}
