package pfs

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// openFor makes a file that is written around the page cache, and skips the test where the file system cannot do that.
func openFor(t *testing.T) (File, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	f, err := Local().Open(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	d := Direct(f)
	t.Cleanup(func() { d.Close() })
	if _, ok := d.(*directFile); !ok {
		t.Skipf("the file system of %s has no O_DIRECT", name)
	}
	return d, name
}

func aligned(n int, fill byte) []byte {
	b := AlignedBuffer(n)[:n]
	for i := range b {
		b[i] = fill
	}
	return b
}

// Aligned and other writes to one file, in any order, are seen by whoever reads it.
func TestDirectMixed(t *testing.T) {
	f, name := openFor(t)
	r := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 8<<20)
	for range 300 {
		fill := byte(1 + r.IntN(255))
		off, n := r.IntN(len(want)), 1+r.IntN(100_000)
		if r.IntN(2) == 0 {
			off, n = off/DirectAlign*DirectAlign, (1+r.IntN(64))*DirectAlign
		}
		n = min(n, len(want)-off)
		p := aligned(n, fill)
		copy(want[off:], p)
		if got, err := f.WriteAt(p, int64(off)); err != nil || got != n {
			t.Fatalf("write of %d bytes at %d: %d, %v", n, off, got, err)
		}
		at := r.IntN(len(want) - DirectAlign)
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if n := min(int64(DirectAlign), st.Size()-int64(at)); n > 0 {
			got := make([]byte, n)
			if _, err := f.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at:at+int(n)]) {
				t.Fatalf("what is read at %d differs (%v)", at, err)
			}
		}
	}
	if err := f.Truncate(int64(len(want))); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("contents differ (%v)", err)
	}
}

// What is written in aligned pieces is not in the page cache afterwards.
func TestDirectLeavesPageCache(t *testing.T) {
	f, name := openFor(t)
	const size = 4 << 20
	if _, err := f.WriteAt(aligned(size, 7), 0); err != nil {
		t.Fatal(err)
	}
	if !f.(*directFile).use.Load() {
		t.Skip("the file system takes O_DIRECT, but no such writes")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(name, &fs); err != nil || fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		t.Skip("a file system that is made of the page cache")
	}
	if n := resident(t, name, size); n > size/8 {
		t.Errorf("%d of %d bytes are in the page cache", n, size)
	}
}

// resident is how many bytes of a file are in the page cache.
func resident(t *testing.T, name string, size int) int {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	pages := make([]byte, (size+os.Getpagesize()-1)/os.Getpagesize())
	if err := mincore(m, pages); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range pages {
		n += int(p&1) * os.Getpagesize()
	}
	return n
}

func mincore(m, pages []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, address(m), uintptr(len(m)), address(pages))
	if errno != 0 {
		return errno
	}
	return nil
}

// A file system that opens files so and then refuses to write them is written as ever.
func TestDirectRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := Local().Open(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	refuses, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0) // takes numbers, everything else is EINVAL
	if err != nil {
		t.Skip(err)
	}
	d := &directFile{localFile: f.(localFile), direct: refuses}
	d.use.Store(true)
	p := aligned(2*DirectAlign, 9)
	for off := int64(0); off <= DirectAlign; off += DirectAlign {
		if n, err := d.WriteAt(p, off); err != nil || n != len(p) {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if d.use.Load() {
		t.Error("it is tried again for every write")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, aligned(3*DirectAlign, 9)) {
		t.Errorf("contents differ (%v)", err)
	}
}
