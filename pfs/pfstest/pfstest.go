// Package pfstest is the conformance suite of pfs.FS: one set of tests for every implementation.
package pfstest

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"polarcast/pfs"
)

// Run tests a file system in dir, an empty directory on it that exists.
func Run(t *testing.T, f pfs.FS, dir string) {
	s := &suite{f: f, dir: dir}
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"WriteRead", testWriteRead}, {"LargeCalls", testLargeCalls}, {"Holes", testHoles}, {"Truncate", testTruncate},
		{"Allocate", testAllocate}, {"RaggedWritesInParallel", testRagged}, {"RaggedEndOfFile", testRaggedEnd},
		{"OpenFlags", testOpenFlags}, {"AccessMode", testAccessMode}, {"ClosedFile", testClosedFile}, {"NoAppend", testNoAppend},
		{"OpenDirectory", testOpenDirectory}, {"Missing", testMissing}, {"NamesOfAllKinds", testNames}, {"Mkdir", testMkdir},
		{"MkdirAll", testMkdirAll}, {"Remove", testRemove}, {"RemoveAll", testRemoveAll}, {"RenameFile", testRenameFile},
		{"RenameDirectory", testRenameDirectory}, {"ReadDir", testReadDir}, {"Stat", testStat}, {"Durability", testDurability},
		{"BadPaths", testBadPaths},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub := &suite{f: f, dir: dir + "/" + c.name}
			if err := s.f.Mkdir(sub.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := pfs.RemoveAll(f, sub.dir); err != nil {
					t.Error(err)
				}
			})
			c.test(t, sub)
		})
	}
}

type suite struct {
	f   pfs.FS
	dir string
}

func (s *suite) path(name string) string { return s.dir + "/" + name }

func (s *suite) open(t *testing.T, name string, flag int) pfs.File {
	t.Helper()
	f, err := s.f.Open(s.path(name), flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
	return f
}

func (s *suite) create(t *testing.T, name string) pfs.File {
	t.Helper()
	return s.open(t, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (s *suite) mkdir(t *testing.T, name string) {
	t.Helper()
	must(t, s.f.Mkdir(s.path(name), 0o700))
}

func (s *suite) write(t *testing.T, name, content string) {
	t.Helper()
	f := s.create(t, name)
	writeAt(t, f, []byte(content), 0)
	must(t, f.Close())
}

func (s *suite) size(t *testing.T, name string) int64 {
	t.Helper()
	st, err := s.f.Stat(s.path(name))
	must(t, err)
	return st.Size()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Errorf("%s: got error %v, want one of %v", what, err, want)
}

func writeAt(t *testing.T, f pfs.File, p []byte, off int64) {
	t.Helper()
	if n, err := f.WriteAt(p, off); n != len(p) || err != nil {
		t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
	}
}

func readAt(t *testing.T, f pfs.File, n int, off int64) []byte {
	t.Helper()
	p := make([]byte, n)
	if got, err := f.ReadAt(p, off); got != n || err != nil {
		t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", n, off, got, err)
	}
	return p
}

var errNotDirOrMissing = []error{syscall.ENOTDIR, fs.ErrNotExist}
