package pfstest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"polarcast/pfs"
)

func testMissing(t *testing.T, s *suite) {
	no := s.path("no")
	_, err := s.f.Stat(no)
	wantErr(t, "Stat", err, fs.ErrNotExist)
	_, err = s.f.ReadDir(no)
	wantErr(t, "ReadDir", err, fs.ErrNotExist)
	wantErr(t, "Remove", s.f.Remove(no), fs.ErrNotExist)
	wantErr(t, "Rmdir", s.f.Rmdir(no), fs.ErrNotExist)
	wantErr(t, "Rename", s.f.Rename(no, s.path("b")), fs.ErrNotExist)
	wantErr(t, "Mkdir below it", s.f.Mkdir(no+"/a", 0o700), fs.ErrNotExist)
	must(t, pfs.RemoveAll(s.f, no))
}

func testNames(t *testing.T, s *suite) {
	for _, name := range []string{"a", strings.Repeat("n", 64), strings.Repeat("n", 255), "two words\n", "\xe4\xb8\xad", "\xff\xfe", "-rf", "...", "a;b'c\"d\\e"} {
		s.write(t, name, "x")
		entries, err := s.f.ReadDir(s.dir)
		must(t, err)
		if len(entries) != 1 || entries[0].Name != name || entries[0].Dir {
			t.Errorf("%q is listed as %+v", name, entries)
		}
		must(t, s.f.Remove(s.path(name)))
	}
	_, err := s.f.Open(s.path(strings.Repeat("n", 256)), os.O_RDWR|os.O_CREATE, 0o600)
	wantErr(t, "a name of 256 bytes", err, syscall.ENAMETOOLONG)
	_, err = s.f.Stat(s.path(strings.Repeat("n/", 2100)))
	wantErr(t, "a path of 4200 bytes", err, syscall.ENAMETOOLONG)
}

func testMkdir(t *testing.T, s *suite) {
	s.mkdir(t, "d")
	wantErr(t, "second Mkdir", s.f.Mkdir(s.path("d"), 0o700), fs.ErrExist)
	s.write(t, "f", "")
	wantErr(t, "Mkdir over a file", s.f.Mkdir(s.path("f"), 0o700), fs.ErrExist)
	wantErr(t, "Mkdir below a file", s.f.Mkdir(s.path("f/d"), 0o700), syscall.ENOTDIR)
	st, err := s.f.Stat(s.path("d"))
	must(t, err)
	if !st.IsDir() || !st.Mode().IsDir() {
		t.Errorf("mode %v", st.Mode())
	}
}

func testMkdirAll(t *testing.T, s *suite) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := pfs.MkdirAll(s.f, s.path("a/b/c/d"), 0o700); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	must(t, pfs.MkdirAll(s.f, s.path("a/b/"), 0o700))
	s.write(t, "a/b/f", "")
	wantErr(t, "MkdirAll over a file", pfs.MkdirAll(s.f, s.path("a/b/f"), 0o700), syscall.ENOTDIR)
	wantErr(t, "MkdirAll below a file", pfs.MkdirAll(s.f, s.path("a/b/f/g"), 0o700), syscall.ENOTDIR)
}

func testRemove(t *testing.T, s *suite) {
	s.write(t, "f", "x")
	s.mkdir(t, "d")
	s.write(t, "d/f", "x")
	wantErr(t, "Remove of a directory", s.f.Remove(s.path("d")), syscall.EISDIR)
	wantErr(t, "Rmdir of a file", s.f.Rmdir(s.path("f")), syscall.ENOTDIR)
	wantErr(t, "Rmdir of a full directory", s.f.Rmdir(s.path("d")), syscall.ENOTEMPTY)
	must(t, s.f.Remove(s.path("d/f")))
	must(t, s.f.Rmdir(s.path("d")))
	must(t, s.f.Remove(s.path("f")))
}

func testRemoveAll(t *testing.T, s *suite) {
	s.mkdir(t, "d")
	for i := range 50 { // more than one batch of a directory's names
		s.write(t, fmt.Sprintf("d/f%d", i), "")
	}
	s.mkdir(t, "d/e")
	s.write(t, "d/e/g", "x")
	must(t, pfs.RemoveAll(s.f, s.path("d")))
	_, err := s.f.Stat(s.path("d"))
	wantErr(t, "Stat", err, fs.ErrNotExist)
	s.write(t, "f", "")
	must(t, pfs.RemoveAll(s.f, s.path("f")))
	if l, ok := s.f.(pfs.SymlinkFS); ok {
		s.mkdir(t, "kept")
		s.write(t, "kept/f", "x")
		s.mkdir(t, "d")
		must(t, l.Symlink(s.path("kept"), s.path("d/link")))
		must(t, pfs.RemoveAll(s.f, s.path("d")))
		if got := s.size(t, "kept/f"); got != 1 {
			t.Error("a symbolic link was followed")
		}
	}
}

func testRenameFile(t *testing.T, s *suite) {
	s.write(t, "a", "one")
	s.write(t, "b", "twotwo")
	f := s.open(t, "a", os.O_RDWR)
	must(t, s.f.Rename(s.path("a"), s.path("b")))
	_, err := s.f.Stat(s.path("a"))
	wantErr(t, "Stat of the old name", err, fs.ErrNotExist)
	if got := s.size(t, "b"); got != 3 {
		t.Errorf("size %d", got)
	}
	writeAt(t, f, []byte("!"), 3) // the descriptor goes with the file
	if got := s.size(t, "b"); got != 4 {
		t.Errorf("size %d after a write to the renamed file", got)
	}
	must(t, s.f.Rename(s.path("b"), s.path("b")))
	s.mkdir(t, "d")
	wantErr(t, "Rename of a file over a directory", s.f.Rename(s.path("b"), s.path("d")), syscall.EISDIR)
	wantErr(t, "Rename into a missing directory", s.f.Rename(s.path("b"), s.path("no/b")), fs.ErrNotExist)
	must(t, s.f.Rename(s.path("b"), s.path("d/b")))
}

func testRenameDirectory(t *testing.T, s *suite) {
	s.mkdir(t, "a")
	s.write(t, "a/f", "x")
	s.mkdir(t, "empty")
	s.mkdir(t, "full")
	s.write(t, "full/f", "x")
	s.write(t, "file", "x")
	wantErr(t, "Rename over a full directory", s.f.Rename(s.path("a"), s.path("full")), syscall.ENOTEMPTY, fs.ErrExist)
	wantErr(t, "Rename of a directory over a file", s.f.Rename(s.path("a"), s.path("file")), syscall.ENOTDIR)
	wantErr(t, "Rename of a directory into itself", s.f.Rename(s.path("a"), s.path("a/b")), syscall.EINVAL)
	must(t, s.f.Rename(s.path("a"), s.path("empty")))
	if got := s.size(t, "empty/f"); got != 1 {
		t.Errorf("size %d", got)
	}
}

func testReadDir(t *testing.T, s *suite) {
	var want []pfs.DirEntry
	for i := range 40 {
		name := fmt.Sprintf("%02d", 39-i)
		if i%3 == 0 {
			s.mkdir(t, name)
		} else {
			s.write(t, name, "x")
		}
		want = append(want, pfs.DirEntry{Name: name, Dir: i%3 == 0})
	}
	slices.Reverse(want)
	got, err := s.f.ReadDir(s.dir)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	_, err = s.f.ReadDir(s.path("01"))
	wantErr(t, "ReadDir of a file", err, syscall.ENOTDIR)
}

func testStat(t *testing.T, s *suite) {
	f := s.create(t, "a")
	writeAt(t, f, []byte("12345"), 0)
	for _, stat := range []func() (fs.FileInfo, error){f.Stat, func() (fs.FileInfo, error) { return s.f.Stat(s.path("a")) }} {
		st, err := stat()
		must(t, err)
		if st.Name() != "a" || st.Size() != 5 || st.IsDir() || !st.Mode().IsRegular() {
			t.Errorf("got %s %d %v", st.Name(), st.Size(), st.Mode())
		}
		if d := time.Since(st.ModTime()); d < -time.Hour || d > time.Hour {
			t.Errorf("modified %v ago", d)
		}
	}
	_, err := s.f.Stat(s.path("a/b"))
	wantErr(t, "Stat below a file", err, errNotDirOrMissing...)
	must(t, s.f.Chmod(s.path("a"), 0o640))
}

func testBadPaths(t *testing.T, s *suite) {
	if _, err := s.f.Stat(s.path("a\x00b")); err == nil {
		t.Error("a name with a NUL byte was accepted")
	}
	s.mkdir(t, "d")
	st, err := s.f.Stat(s.path("d/../d/./"))
	must(t, err)
	if !st.IsDir() {
		t.Error("a path with . and .. is not what it names")
	}
	if i := s.f.Info(); i.Kind == pfs.KindPFS {
		_, err := s.f.Stat(path.Clean("/" + i.Disk + "x/a"))
		wantErr(t, "Stat on another disk", err, syscall.EXDEV)
	}
}
