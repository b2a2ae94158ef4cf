package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"polarcast/pfs"
	"polarcast/testenv"
	"polarcast/testenv/pfsdouble"
	"polarcast/testenv/polardouble"
)

// pfsArgs are the options of the guide for a Standby on PFS.
func pfsArgs(p *pfsdouble.Double, dir string, args ...string) []string {
	return append(stream("-D", dir, "--polardata=/nvme2n1/shared_data/", "--polar_disk_home=nvme2n1", "--polar_host_id=3",
		"--polar_storage_cluster_name=disk", "--pfsd-lib="+p.Library), args...)
}

func newPFS(p polar, disks ...string) *pfsdouble.Double {
	if disks == nil {
		disks = []string{"nvme2n1"}
	}
	d := pfsdouble.Make(p.T, disks...)
	*p.env = append(*p.env, d.Env()...)
	testenv.Own(p.T, d.Root)
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
	disk := newPFS(p)
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
	disk := newPFS(p)
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

// polarHung: a call of libpfsd cannot be cancelled, but whoever interrupts the program does not wait for a pfsd that is away.
func polarHung(p polar) {
	disk := newPFS(p)
	dir := newDir(p)
	c := p.start(pfsArgs(disk, dir, "-v", "-r", "4M")...)
	begun(c)
	p.s.Eventually("files on the disk", func() (bool, error) {
		_, err := os.Stat(disk.Dir("nvme2n1") + "/shared_data/global")
		return err == nil, nil
	})
	disk.Faults("down")
	c.WaitOutput("pfsd does not answer; the call goes on when it is back")
	c.Signal(syscall.SIGTERM)
	if code := c.Wait(generous); code != 128+int(syscall.SIGTERM) || !strings.Contains(c.Stderr(), pfs.ErrHung.Error()) {
		p.Fatalf("exit status %d\n%s", code, c.Stderr())
	}
	disk.Faults("")
	told := p.must(pfsArgs(disk, dir, "-v")...)
	if !strings.Contains(told, "continuing the interrupted backup") {
		p.Errorf("the second run told:\n%s", told)
	}
	released(p.T, disk)
	p.verify(dir, disk.Dir("nvme2n1")+"/shared_data")
}

// polarFull: a disk that is too small is refused, and nothing of the target is left; one that runs full is told in words, and the same command goes on
// when there is room.
func polarFull(p polar) {
	disk := newPFS(p, "null")
	dir := newDir(p)
	at := func(name string, args ...string) []string {
		return append([]string{"--polardata=/" + name + "/d", "--polar_disk_name=" + name, "--polar_host_id=3", "--pfsd-lib=" + disk.Library, "-D", dir}, args...)
	}
	for range 2 { // the second is not taken for one that continues the first
		c := p.start(at("null")...) // the size of a disk is that of its device, and /dev/null has none
		if code := c.Wait(generous); code != 1 || !strings.Contains(c.Stderr(), "PFS needs at least 10 GiB") {
			p.Fatalf("exit status %d\n%s", code, c.Stderr())
		}
		untouched(p.T, dir, false)
		if entries, _ := os.ReadDir(disk.Dir("null")); len(entries) != 0 && len(entries) != 2 { // with PFS's own two files
			p.Errorf("the disk holds %v", entries)
		}
	}
	disk = newPFS(p)
	disk.Faults("blocks=300")
	c := p.start(at("nvme2n1")...)
	if code := c.Wait(generous); code != 1 || !strings.Contains(c.Stderr(), "could not write to file") || !strings.Contains(c.Stderr(), "no space left on PFS disk") {
		p.Fatalf("exit status %d\n%s", code, c.Stderr())
	}
	released(p.T, disk)
	disk.Faults("")
	if told := p.must(at("nvme2n1")...); !strings.Contains(told, "continuing the interrupted backup") {
		p.Errorf("the second run told:\n%s", told)
	}
	p.verify(dir, disk.Dir("nvme2n1")+"/d")
}

// polarFromPFS reads the shared tree through a read-only mount of the server's disk while the server writes. The stand-in for the disk has the data
// directory of the real server behind it.
func polarFromPFS(p polar) {
	disk := newPFS(p, "nvme1n1")
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
	p.verify(dir, dir+"/polar_shared_data")
	p.same(dir, dir+"/polar_shared_data")

	p.d = polardouble.Start(p, p.s, polardouble.Options{PFS: true}) // one that was not asked for anything
	at := []string{"--read=pfs", "--pfsd-lib=" + disk.Library}
	p.refused("no host id", "--polar_host_id", at...)
	p.refused("the server's host id", "the server's own", append(at, "--polar_host_id=1")...)
	p.refused("another disk for the copy", "one disk", append(at, "--polar_host_id=4", "--polardata=/nvme2n1/d", "--polar_disk_name=nvme2n1")...)
	disk.Faults("down")
	p.refused("no pfsd", "pfsd does not run", append(at, "--polar_host_id=4")...)
}
