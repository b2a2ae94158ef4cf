package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/testenv"
	"polarcast/testenv/pfsdouble"
	"polarcast/testenv/polardouble"
)

// TestPolar: one reading of a PolarDB for a standby and a replica, whose storage and node stages are processes of their own; and a reading through PFS.
func TestPolar(t *testing.T) {
	w := newWorld(t, 1, "")
	d := polardouble.Start(t, w.pg, polardouble.Options{PFS: true})
	send := func(backup string, args ...string) *testenv.Process {
		return w.start(append([]string{"send", "--backup", backup, "-v", "--tmpdir", w.dir, "-c", "fast", "-d", d.ConnString()}, args...)...)
	}
	replica := []string{"--node=replica", "--polar_host_id=2"}
	w.done(send("config", "--target", "s,r", "--local=config"),
		w.receive("config", "s"),
		w.start(w.receiveArgs("stage storage", "config", "r", "--node=replica")...),
		w.start(w.receiveArgs("stage node", "config", "r", append(replica, "-d", d.ConnString(), "-S", "replica2")...)...))
	same := func(dir string) {
		t.Helper()
		merged := w.path(filepath.Base(dir) + "-merged")
		polardouble.Merge(t, dir, dir+"/polar_shared_data", merged)
		c := testenv.StartCopy(t, testMajor, merged, testenv.Primary, testenv.CopyOptions{})
		testenv.SameData(t, c.TableChecksums(), w.pg.TableChecksums())
		c.Stop(testenv.Immediate)
	}
	same(w.path("config-s"))
	for _, name := range []string{"config-s/pg_xact/0000", "config-r/polar_shared_data", "config-r/pg_wal", "config-r/global/pg_control", "config-r/pg_xact/0000"} {
		if _, err := os.Lstat(w.path(name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	w.run(0, "verify", w.path("config-r")) // its manifest is of the local directory alone
	if conf, err := os.ReadFile(w.path("config-r/postgresql.conf")); err != nil || !strings.Contains(string(conf), "primary_slot_name = replica2") {
		t.Errorf("the replica's configuration: %v\n%s", err, conf)
	}
	w.refused([]string{"cannot be used with --local=config"}, "send", "--backup", "x", "--target", "a", "-d", d.ConnString(), "--local=config", "--source=files")

	disk := pfsdouble.New(t, "nvme1n1")
	testenv.Own(t, disk.Root)
	if err := os.Symlink(w.pg.Value("SHOW data_directory"), filepath.Join(disk.Dir("nvme1n1"), "shared_data")); err != nil {
		t.Fatal(err)
	}
	w.done(send("pfs", "--target", "a", "--read=pfs", "--polar_host_id=4", "--pfsd-lib="+disk.Library), w.receive("pfs", "a"))
	same(w.path("pfs-a"))
	if pids, _ := filepath.Glob(filepath.Join(disk.RunDir, "nvme1n1", "*.pid")); len(pids) > 0 {
		t.Errorf("the disk is still mounted: %v", pids)
	}

	// A disk that holds anything may be in use on another host.
	onDisk := []string{"--polardata=/nvme1n1/copy", "--polar_disk_name=nvme1n1", "--polar_host_id=5", "--pfsd-lib=" + disk.Library}
	sender := send("used", "--target", "a", "--source=stream")
	c := w.start(w.receiveArgs("receive", "used", "a", onDisk...)...)
	if code := c.Wait(backupEnd); code != 1 || !strings.Contains(c.Stderr(), "add --force-mount") {
		t.Fatalf("exit status %d\n%s", code, c.Stderr())
	}
	if _, err := os.Stat(filepath.Join(disk.Dir("nvme1n1"), "copy")); err == nil {
		t.Error("the disk was written to")
	}
	w.done(sender, w.start(w.receiveArgs("receive", "used", "a", append(onDisk, "--force-mount")...)...))
}
