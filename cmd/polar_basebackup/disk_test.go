package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"polarcast/testenv"
)

// A full disk is said, and the same command continues when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 16)
	disk := testenv.FullDisk(t, 480<<20)
	dir := filepath.Join(disk, "copy")
	p := start(t, s, slow(dir)...)
	begun(p)
	ballast := fillUp(t, disk)
	fails(t, p, "o space left on device", "run the same command again to continue it")
	s.NoBackupLeft()
	// Too little room is said before anything is begun, and what was there stays.
	fails(t, start(t, s, stream("-v", "-D", dir)...), "make room")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if text := must(t, s, stream("-v", "-D", dir)...); !strings.Contains(text, "continuing the interrupted backup") {
		t.Errorf("it does not continue:\n%s", text)
	}
	check(t, s, dir)
	same(t, s, dir, testenv.CopyOptions{})

	// As the original: what it made is removed.
	again := filepath.Join(disk, "again")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"-Fp", "-Ft"} {
		p = start(t, s, slow(again, "--no-resume", format)...)
		begun(p)
		ballast = fillUp(t, disk)
		fails(t, p, "o space left on device", "removing data directory")
		untouched(t, again, false)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	s.NoBackupLeft()
}

// fillUp writes a file into a directory until its file system is full, whoever else writes there.
func fillUp(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for buf := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(buf)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// A directory that cannot be written, or not be reached.
func TestUnwritable(t *testing.T) {
	s := testenv.Start(t, 15, testenv.Options{})
	base := testenv.Dir(t)
	closed := filepath.Join(base, "closed")
	if err := os.Mkdir(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	fails(t, start(t, s, stream("-D", filepath.Join(closed, "copy"))...), "could not create directory", "Permission denied")
	fails(t, start(t, s, stream("-D", closed)...), "could not create directory", "Permission denied")
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, start(t, s, stream("-D", file)...), "could not access directory \""+file+"\": Not a directory")
	fails(t, start(t, s, stream("-D", filepath.Join(file, "copy"))...), "Not a directory")
	s.NoBackupLeft()
	if b, err := os.ReadFile(file); err != nil || len(b) != 0 {
		t.Error("the file was changed")
	}
}
