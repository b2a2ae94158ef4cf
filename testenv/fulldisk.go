package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// FullDisk mounts a file system of so many bytes, owned by the unprivileged user, and unmounts it when the test ends. The test is skipped
// where mounting is not allowed (not root, a container without the right).
func FullDisk(t testing.TB, bytes int64) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a small file system can only be mounted by root")
	}
	dir := filepath.Join(Dir(t), "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a := Unprivileged()
	options := fmt.Sprintf("size=%d,mode=0755,uid=%d,gid=%d", bytes, a.UID, a.GID)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			unix.Unmount(dir, unix.MNT_DETACH)
			t.Errorf("%s was still in use at the end of the test: %v", dir, err)
		}
	})
	return dir
}

// FillDisk writes a file "ballast" into dir until no more than leave bytes are free, and returns its path; removing it makes room again.
func FillDisk(t testing.TB, dir string, leave int64) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if size := int64(st.Bavail)*st.Bsize - leave; size > 0 {
		if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
			t.Fatal(err)
		}
	}
	return name
}
