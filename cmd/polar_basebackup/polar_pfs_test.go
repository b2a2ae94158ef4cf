package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/testenv"
	"polarcast/testenv/pfsdouble"
	"polarcast/testenv/polardouble"
)

// pfsArgs are the options of the guide for a Standby on PFS.
func pfsArgs(p *pfsdouble.Double, dir string, args ...string) []string {
	return append(stream("-D", dir, "--polardata=/nvme2n1/shared_data/", "--polar_disk_home=nvme2n1", "--polar_host_id=3",
		"--polar_storage_cluster_name=disk", "--pfsd-lib="+p.Library), args...)
}

func newPFS(t *testing.T) *pfsdouble.Double {
	d := pfsdouble.New(t, "nvme2n1")
	testenv.Own(t, d.Root)
	return d
}

// released fails the test when a client of the disk is left.
func released(t *testing.T, d *pfsdouble.Double) {
	t.Helper()
	if pids, _ := filepath.Glob(filepath.Join(d.RunDir, "nvme2n1", "*.pid")); len(pids) > 0 {
		t.Errorf("the disk is still mounted: %v", pids)
	}
}

func polarToPFS(p polar) {
	disk := newPFS(p.T)
	dir := newDir(p)
	told := p.must(pfsArgs(disk, dir, "--node=standby", "-C", "-S", "standby1", "--set", "port=5433", "-v", "--report", dir+".json")...)
	defer p.s.Exec("SELECT pg_drop_replication_slot('standby1')")
	released(p.T, disk)
	shared := disk.Dir("nvme2n1") + "/shared_data"
	p.verify(dir, shared)
	if r := report(p, dir+".json"); r.PFS == nil || r.PFS.Calls == 0 || r.PFS.Seconds <= 0 || r.PFS.BytesWritten < r.BytesWritten/2 {
		p.Errorf("what was done on the disk: %+v, of %d bytes", r.PFS, r.BytesWritten)
	}
	conf, err := os.ReadFile(dir + "/postgresql.conf")
	if err != nil {
		p.Fatal(err)
	}
	for _, line := range []string{"polar_hostid = 3", "polar_disk_name = nvme2n1", "polar_datadir = '/nvme2n1/shared_data/'", "port = 5433",
		"polar_storage_cluster_name = disk"} {
		if !strings.Contains(string(conf), "\n"+line) || !strings.Contains(told, "\n+"+line) {
			p.Errorf("%q is not in the configuration or was not shown", line)
		}
	}
	if v := p.s.Value("SELECT slot_type FROM pg_replication_slots WHERE slot_name = 'standby1'"); v != "physical" {
		p.Errorf("slot: %q", v)
	}
	// A real PostgreSQL does not know PolarDB's parameters, and this node would follow.
	for _, name := range []string{"standby.signal", "recovery.conf"} {
		os.Remove(dir + "/" + name)
	}
	if err := os.WriteFile(dir+"/postgresql.conf", []byte("wal_level = replica\n"), 0o600); err != nil {
		p.Fatal(err)
	}
	p.same(dir, shared)
}

func polarKilled(p polar) {
	disk := newPFS(p.T)
	dir := newDir(p)
	c := p.start(pfsArgs(disk, dir, "-v", "-r", "4M")...)
	begun(c)
	p.s.Eventually("files on the disk", func() (bool, error) {
		_, err := os.Stat(disk.Dir("nvme2n1") + "/shared_data/global")
		return err == nil, nil
	})
	if p.d.Major == 15 {
		disk.Faults("abort=pwrite") // as the library ends its process when an assertion fails
		if code := c.Wait(generous); code == 0 {
			p.Fatalf("the process outlived its library's abort:\n%s", c.Stderr())
		}
		disk.Faults("")
	} else {
		c.KillOnly()
		c.Wait(generous)
	}
	told := p.must(pfsArgs(disk, dir, "-v")...)
	if !strings.Contains(told, "continuing the interrupted backup") {
		p.Errorf("the second run told:\n%s", told)
	}
	released(p.T, disk)
	shared := disk.Dir("nvme2n1") + "/shared_data"
	p.verify(dir, shared)
	p.same(dir, shared)
}

// polarFromPFS reads the shared tree through a read-only mount of the server's disk while the server writes. The stand-in for the disk has the data
// directory of the real server behind it.
func polarFromPFS(p polar) {
	disk := pfsdouble.New(p.T, "nvme1n1")
	testenv.Own(p.T, disk.Root)
	if err := os.Symlink(p.s.Value("SHOW data_directory"), filepath.Join(disk.Dir("nvme1n1"), "shared_data")); err != nil {
		p.Fatal(err)
	}
	dir := newDir(p)
	told := p.must("-D", dir, "--read=pfs", "--polar_host_id=4", "--pfsd-lib="+disk.Library, "-v")
	if !strings.Contains(told, "reading files by pfs") {
		p.Errorf("it was not told how files are read:\n%s", told)
	}
	if p.asked("BASE_BACKUP") {
		p.Errorf("a base backup was taken: %v", p.d.Commands())
	}
	if pids, _ := filepath.Glob(filepath.Join(disk.RunDir, "nvme1n1", "*.pid")); len(pids) > 0 {
		p.Errorf("the disk is still mounted: %v", pids)
	}
	p.same(dir, dir+"/polar_shared_data")

	p.d = polardouble.Start(p, p.s, polardouble.Options{PFS: true}) // one that was not asked for anything
	at := []string{"--read=pfs", "--pfsd-lib=" + disk.Library}
	p.refused("no host id", "--polar_host_id", at...)
	p.refused("the server's host id", "the server's own", append(at, "--polar_host_id=1")...)
	p.refused("another disk for the copy", "one disk", append(at, "--polar_host_id=4", "--polardata=/nvme2n1/d", "--polar_disk_name=nvme2n1")...)
	disk.Faults("down")
	p.refused("no pfsd", "pfsd does not run", append(at, "--polar_host_id=4")...)
}
