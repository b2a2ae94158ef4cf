package pfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"sync"
	"syscall"
	"testing"
)

func pattern(n int, seed int64) []byte {
	p := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(p)
	return p
}

func testWriteRead(t *testing.T, s *suite) {
	f := s.create(t, "a")
	writeAt(t, f, []byte("hello, world"), 0)
	writeAt(t, f, []byte("HELLO"), 0)
	writeAt(t, f, nil, 100) // changes nothing
	if got := string(readAt(t, f, 12, 0)); got != "HELLO, world" {
		t.Errorf("read %q", got)
	}
	p := make([]byte, 20)
	if n, err := f.ReadAt(p, 7); n != 5 || err != io.EOF || string(p[:n]) != "world" {
		t.Errorf("ReadAt over the end = %d, %v", n, err)
	}
	if n, err := f.ReadAt(p, 1<<40); n != 0 || err != io.EOF {
		t.Errorf("ReadAt behind the end = %d, %v", n, err)
	}
	_, err := f.WriteAt([]byte("x"), -1)
	if err == nil {
		t.Error("a write at -1 was accepted")
	}
	if _, err = f.ReadAt(p, -2); err == nil {
		t.Error("a read at -2 was accepted")
	}
	if got := s.size(t, "a"); got != 12 {
		t.Errorf("size %d", got)
	}
}

func testLargeCalls(t *testing.T, s *suite) {
	const n = 9<<20 + 12345 // more than two calls of libpfsd, with a ragged end
	for _, off := range []int64{0, 777} {
		want := pattern(n, off)
		f := s.open(t, "large", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		writeAt(t, f, want, off)
		if !bytes.Equal(readAt(t, f, n, off), want) {
			t.Errorf("at %d: what was read differs", off)
		}
		must(t, f.Close())
	}
}

func testHoles(t *testing.T, s *suite) {
	f := s.create(t, "a")
	writeAt(t, f, []byte("end"), 20<<20)
	if got := readAt(t, f, 5<<20, 8<<20); !bytes.Equal(got, make([]byte, 5<<20)) {
		t.Error("a hole does not read as zeros")
	}
}

func testTruncate(t *testing.T, s *suite) {
	f := s.create(t, "a")
	writeAt(t, f, bytes.Repeat([]byte("x"), 10000), 0)
	must(t, f.Truncate(5000))
	must(t, f.Truncate(10000))
	got := readAt(t, f, 10000, 0)
	if got[4999] != 'x' || !bytes.Equal(got[5000:], make([]byte, 5000)) {
		t.Error("what was cut off came back")
	}
	must(t, f.Truncate(1<<33))
	if got := s.size(t, "a"); got != 1<<33 {
		t.Errorf("size %d", got)
	}
	wantErr(t, "Truncate(-1)", f.Truncate(-1), syscall.EINVAL)
	must(t, f.Truncate(0))
	if st, err := f.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("Stat = %v, %v", st, err)
	}
}

func testAllocate(t *testing.T, s *suite) {
	f := s.create(t, "a")
	writeAt(t, f, []byte("keep"), 0)
	must(t, f.Allocate(0, 3<<20))
	if got := s.size(t, "a"); got != 3<<20 {
		t.Errorf("size %d", got)
	}
	must(t, f.Allocate(0, 100)) // never makes it shorter
	if got := s.size(t, "a"); got != 3<<20 {
		t.Errorf("size %d after a shorter one", got)
	}
	if got := readAt(t, f, 4096, 0); string(got[:4]) != "keep" || !bytes.Equal(got[4:], make([]byte, 4092)) {
		t.Error("allocating changed the content")
	}
	wantErr(t, "Allocate(0, 0)", f.Allocate(0, 0), syscall.EINVAL)
	wantErr(t, "Allocate(-1, 1)", f.Allocate(-1, 1), syscall.EINVAL)
}

// Records that share sectors, by goroutines that each have their own descriptor: this loses bytes when the file system, or libpfsd, lets two
// of them change one sector at the same time.
func testRagged(t *testing.T, s *suite) {
	const record, count, writers = 100, 2000, 4
	s.write(t, "a", "")
	var all sync.WaitGroup
	for w := range writers {
		f := s.open(t, "a", os.O_RDWR)
		all.Go(func() {
			for i := w; i < count; i += writers {
				if _, err := f.WriteAt(bytes.Repeat([]byte{byte('a' + i%26)}, record), int64(i*record)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, bad := readAt(t, s.open(t, "a", os.O_RDONLY), record*count, 0), 0
	for i := range count {
		if !bytes.Equal(got[i*record:][:record], bytes.Repeat([]byte{byte('a' + i%26)}, record)) {
			bad++
		}
	}
	if bad != 0 {
		t.Errorf("%d of %d records are damaged", bad, count)
	}
}

// Whole chunks in any order beside the ragged last one.
func testRaggedEnd(t *testing.T, s *suite) {
	const chunk = 256 << 10
	want := pattern(20*chunk+1234, 1)
	f := s.create(t, "a")
	var all sync.WaitGroup
	for off := 0; off < len(want); off += chunk {
		all.Go(func() {
			if _, err := f.WriteAt(want[off:min(off+chunk, len(want))], int64(off)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if !bytes.Equal(readAt(t, f, len(want), 0), want) || s.size(t, "a") != int64(len(want)) {
		t.Error("what was read differs")
	}
}

func testOpenFlags(t *testing.T, s *suite) {
	_, err := s.f.Open(s.path("a"), os.O_RDWR, 0o600)
	wantErr(t, "open of a missing file", err, fs.ErrNotExist)
	s.write(t, "a", "12345")
	_, err = s.f.Open(s.path("a"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	wantErr(t, "exclusive open of an existing file", err, fs.ErrExist)
	must(t, s.open(t, "a", os.O_RDWR|os.O_CREATE).Close())
	if got := s.size(t, "a"); got != 5 {
		t.Errorf("size %d after an open with O_CREATE", got)
	}
	must(t, s.open(t, "a", os.O_RDWR|os.O_TRUNC).Close())
	if got := s.size(t, "a"); got != 0 {
		t.Errorf("size %d after an open with O_TRUNC", got)
	}
	_, err = s.f.Open(s.path("a/b"), os.O_RDWR|os.O_CREATE, 0o600)
	wantErr(t, "open below a file", err, syscall.ENOTDIR)
	_, err = s.f.Open(s.path("no/b"), os.O_RDWR|os.O_CREATE, 0o600)
	wantErr(t, "open in a missing directory", err, fs.ErrNotExist)
}

func testAccessMode(t *testing.T, s *suite) {
	s.write(t, "a", "12345")
	r, w := s.open(t, "a", os.O_RDONLY), s.open(t, "a", os.O_WRONLY)
	_, err := r.WriteAt([]byte("x"), 0)
	wantErr(t, "write to a file opened for reading", err, syscall.EBADF)
	if err := r.Truncate(0); err == nil {
		t.Error("a file opened for reading was truncated")
	}
	_, err = w.ReadAt(make([]byte, 1), 0)
	wantErr(t, "read of a file opened for writing", err, syscall.EBADF)
	writeAt(t, w, []byte("X"), 0)
	if got := string(readAt(t, r, 5, 0)); got != "X2345" {
		t.Errorf("read %q", got)
	}
}

func testClosedFile(t *testing.T, s *suite) {
	f := s.create(t, "a")
	must(t, f.Close())
	wantErr(t, "second Close", f.Close(), fs.ErrClosed)
	_, err := f.WriteAt([]byte("x"), 0)
	wantErr(t, "WriteAt", err, fs.ErrClosed)
	_, err = f.ReadAt(make([]byte, 1), 0)
	wantErr(t, "ReadAt", err, fs.ErrClosed)
	wantErr(t, "Sync", f.Sync(), fs.ErrClosed)
	wantErr(t, "Truncate", f.Truncate(1), fs.ErrClosed)
}

func testNoAppend(t *testing.T, s *suite) {
	_, err := s.f.Open(s.path("a"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	wantErr(t, "open with O_APPEND", err, syscall.EINVAL)
	if _, err := s.f.Stat(s.path("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left a file: %v", err)
	}
}

func testOpenDirectory(t *testing.T, s *suite) {
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
		_, err := s.f.Open(s.dir, flag, 0o600)
		wantErr(t, "open of a directory", err, syscall.EISDIR)
	}
}

func testDurability(t *testing.T, s *suite) {
	f := s.create(t, "a")
	writeAt(t, f, pattern(10000, 1), 0)
	must(t, f.StartSync(0, 0))
	must(t, f.StartSync(4096, 4096))
	must(t, f.Sync())
	must(t, s.f.SyncDir(s.dir))
}
