package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"polarcast/testenv"
	"polarcast/testenv/pfsdouble"
)

// refused runs, and fails the test unless there is one error that says what is wanted, and nothing was made.
func (p polar) refused(name string, want string, args ...string) {
	p.Run(name, func(t *testing.T) {
		p.T = t
		dir := newDir(t)
		c := p.start(append([]string{"-D", dir}, args...)...)
		if code := c.Wait(generous); code != 1 {
			t.Fatalf("exit status %d, want 1\n%s", code, c.Stderr())
		}
		if !strings.Contains(c.Stderr(), want) {
			t.Errorf("%q is not in\n%s", want, c.Stderr())
		}
		untouched(t, dir, false)
		if p.asked("BASE_BACKUP") || p.asked("CREATE_REPLICATION_SLOT") {
			t.Errorf("the server was asked for something: %v", p.d.Commands())
		}
	})
}

func polarRefusals(p polar) {
	disk := newPFS(p)
	p.refused("disk without a host id", "polar_host_id", "--polardata=/nvme2n1/d", "--polar_disk_name=nvme2n1")
	p.refused("disk without a directory", "polardata", "--polar_disk_name=nvme2n1", "--polar_host_id=3")
	p.refused("directory on another disk", "not below", "--polardata=/data/d", "--polar_disk_name=nvme2n1", "--polar_host_id=3")
	p.refused("host id out of range", "1..254", "--polardata=/nvme2n1/d", "--polar_disk_name=nvme2n1", "--polar_host_id=255")
	p.refused("no such library", "/nowhere/lib.so", "--polardata=/nvme2n1/d", "--polar_disk_name=nvme2n1", "--polar_host_id=3", "--pfsd-lib=/nowhere/lib.so")
	p.refused("no pfsd", "pfsd does not run", "--polardata=/nvme9n1/d", "--polar_disk_name=nvme9n1", "--polar_host_id=3", "--pfsd-lib="+disk.Library)
	at := []string{"--polardata=/nvme2n1/d", "--polar_disk_name=nvme2n1", "--pfsd-lib=" + disk.Library}
	p.refused("host id above the disk's", "higher than the disk was formatted for", append(at, "--polar_host_id=31")...)
	p.usedHostID(disk, append(at, "--polar_host_id=3")...)
	disk.Faults("meta_version=3")
	p.refused("library of another version", "meta version 3", append(at, "--polar_host_id=3")...)
	disk.Faults("")
	p.refused("waldir", "--waldir", "--waldir="+newDir(p))
	p.refused("replica without a host id", "--polar_host_id", "--node=replica")
	p.refused("replica with the primary's host id", "the server's own", "--node=replica", "--polar_host_id=1")
	p.refused("replica with shared data", "incompatible", "--node=replica", "--polar_host_id=2", "--polardata=/x")
	p.refused("primary that follows", "incompatible", "--node=primary", "-R")

	used := testenv.Dir(p)
	if err := os.WriteFile(used+"/file", nil, 0o644); err != nil {
		p.Fatal(err)
	}
	p.refused("shared directory in use", "exists but is not empty", "--polardata="+used)
	onDisk := []string{"--polar_disk_name=nvme2n1", "--polar_host_id=3", "--pfsd-lib=" + disk.Library}
	other := filepath.Join(disk.Dir("nvme2n1"), "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		p.Fatal(err)
	}
	testenv.Own(p, other)
	p.refused("disk in use", "--force-mount", append(onDisk, "--polardata=/nvme2n1/d")...)
	if err := os.WriteFile(other+"/file", nil, 0o644); err != nil {
		p.Fatal(err)
	}
	p.refused("directory on the disk in use", "exists but is not empty", append(onDisk, "--polardata=/nvme2n1/other", "--force-mount")...)
	released(p.T, disk)
	if entries, _ := os.ReadDir(disk.Dir("nvme2n1")); len(entries) != 1 && len(entries) != 3 { // with PFS's own two files
		p.Errorf("the disk holds %v", entries)
	}
}

// usedHostID: another client of pfsd, which lives, has the host id.
func (p polar) usedHostID(disk *pfsdouble.Double, args ...string) {
	p.Helper()
	dir := filepath.Join(disk.RunDir, "nvme2n1")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		p.Fatal(err)
	}
	name := filepath.Join(dir, "1.pid")
	f, err := os.Create(name)
	if err != nil {
		p.Fatal(err)
	}
	defer os.Remove(name)
	defer f.Close()
	if _, err := f.WriteString("3 19\n"); err != nil {
		p.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		p.Fatal(err)
	}
	testenv.Own(p, disk.RunDir)
	p.refused("host id in use", "host id 3 is in use", args...)
}

func polarNotShared(p polar) {
	p.refused("replica", "not in shared-storage mode", "--node=replica", "--polar_host_id=2")
	p.refused("shared directory", "not in shared-storage mode", "--polardata="+newDir(p))
	p.refused("local part", "not in shared-storage mode", "--local=config")
	dir := newDir(p)
	p.must(stream("-D", dir)...)
	check(p, p.s, dir)
	same(p, p.s, dir, testenv.CopyOptions{})
}

// A replica of PostgreSQL does not exist.
func TestReplicaOfPostgres(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	dir := newDir(t)
	fails(t, start(t, s, "-D", dir, "--node=replica", "--polar_host_id=2"), "use --node=standby")
	untouched(t, dir, false)
}
