package pfs_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"polarcast/pfs"
)

func TestPlanSpace(t *testing.T) {
	files := []pfs.PlanFile{
		{NameLen: 4, Dir: true},
		{Size: 0, NameLen: 63},
		{Size: 1, NameLen: 64},
		{Size: 4 << 20, NameLen: 127},
		{Size: 4<<20 + 1, NameLen: 128},
		{Size: 1 << 30, NameLen: 208},
	}
	got := pfs.PlanSpace(slices.Values(files))
	if want := (pfs.Space{Blocks: 0 + 1 + 1 + 2 + 256, Inodes: 6, Direntries: 1 + 1 + 2 + 2 + 3 + 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What new disks of these sizes held: 2302 and 4861 blocks, and on 20 GiB 4093 files and directories.
func TestCapacity(t *testing.T) {
	for _, c := range []struct{ size, blocks, inodes int64 }{
		{10<<30 - 1, 0, 0}, {10 << 30, 2302, 2045}, {20<<30 - 1, 2302, 2045}, {20 << 30, 4861, 4093},
	} {
		if got := pfs.Capacity(c.size); got.Blocks != c.blocks || got.Inodes != c.inodes || got.Direntries != c.inodes {
			t.Errorf("%d bytes: %+v", c.size, got)
		}
	}
}

func TestCheckSpace(t *testing.T) {
	need := pfs.Space{Blocks: 2000, Inodes: 1500, Direntries: 1500}
	if err := pfs.CheckSpace("d", 10<<30, pfs.Space{}, need); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		size       int64
		used, need pfs.Space
		words      []string
	}{
		{5 << 30, pfs.Space{}, need, []string{"at least 10 GiB"}},
		{10 << 30, need, need, []string{"2000 are needed and 302 of 2302 are free", "inodes", "at least 20 GiB"}},
		{10 << 30, pfs.Space{}, pfs.Space{Inodes: 5000, Direntries: 9000}, []string{"directory entries", "at least 50 GiB"}},
	} {
		err := pfs.CheckSpace("d", c.size, c.used, c.need)
		if !errors.Is(err, pfs.ErrTooSmall) {
			t.Errorf("%v is not ErrTooSmall", err)
		}
		for _, w := range c.words {
			if err == nil || !strings.Contains(strings.Replace(err.Error(), "2000 blocks of 4 MiB", "2000", 1), w) {
				t.Errorf("the error %q does not say %q", err, w)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	d := newDouble(t, "disk1")
	f := mount(t, options(d, "disk1"))
	must(t, f.Mkdir("/disk1/dir", 0o700))
	file := create(t, f, "/disk1/dir/"+strings.Repeat("n", 100))
	_, err := file.WriteAt([]byte("x"), 100<<20) // a hole takes nothing
	must(t, err)
	got, err := pfs.Usage(f, "/disk1")
	if want := (pfs.Space{Blocks: 1, Inodes: 2, Direntries: 3}); got != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestSysfsSize: a device that may not be read is known by the kernel.
func TestSysfsSize(t *testing.T) {
	names, _ := filepath.Glob("/sys/class/block/*/size")
	for _, name := range names {
		disk := filepath.Base(filepath.Dir(name))
		size, err := pfs.DiskSize(disk)
		if err != nil || size == 0 {
			continue
		}
		if got, err := pfs.SysfsSize(disk, "/dev/"+disk); err != nil || got != size {
			t.Errorf("%s: %d, %v; the device has %d bytes", disk, got, err, size)
		}
		return
	}
	t.Skip("no block device can be read here")
}

func TestDiskSizeNeedsTheDevice(t *testing.T) {
	if _, err := pfs.DiskSize("no-such-disk"); err == nil || !strings.Contains(err.Error(), "no-such-disk") {
		t.Errorf("got %v", err)
	}
}
