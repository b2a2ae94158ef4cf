package pfs_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"polarcast/pfs"
	"polarcast/pfs/pfstest"
	"polarcast/testenv/pfsdouble"
)

// With PFSD_REAL_PBD=DISK the conformance suite runs on a real pfsd too, with the library of PFSD_REAL_LIB and the host id of
// PFSD_REAL_HOSTID (default 9). A process can have one libpfsd: tests of the double are skipped then.
func TestRealPFSConformance(t *testing.T) {
	disk := os.Getenv("PFSD_REAL_PBD")
	if disk == "" {
		t.Skip("PFSD_REAL_PBD is not set")
	}
	id, _ := strconv.Atoi(os.Getenv("PFSD_REAL_HOSTID"))
	if id == 0 {
		id = 9
	}
	f, err := pfs.Mount(context.Background(), pfs.MountOptions{Library: os.Getenv("PFSD_REAL_LIB"), Disk: disk, HostID: id})
	if err != nil {
		t.Fatal(err)
	}
	dir := "/" + disk + "/polarcast-test-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := f.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pfstest.Run(t, f, dir)
	if err := f.Rmdir(dir); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func newDouble(t *testing.T, disks ...string) *pfsdouble.Double {
	t.Helper()
	if os.Getenv("PFSD_REAL_PBD") != "" {
		t.Skip("a process can have one libpfsd, and PFSD_REAL_PBD is set")
	}
	return pfsdouble.New(t, disks...)
}

func TestDoubleConformance(t *testing.T) {
	d := newDouble(t, "disk1")
	f := mount(t, options(d, "disk1"))
	if err := f.Mkdir("/disk1/test", 0o700); err != nil {
		t.Fatal(err)
	}
	pfstest.Run(t, f, "/disk1/test")
}

func options(d *pfsdouble.Double, disk string) pfs.MountOptions {
	return pfs.MountOptions{Library: d.Library, Disk: disk, HostID: 3, Timeout: 2 * time.Second}
}

func mount(t *testing.T, o pfs.MountOptions) pfs.FS {
	t.Helper()
	f, err := pfs.Mount(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}
