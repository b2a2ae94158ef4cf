package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"polarcast/testenv"
)

// soak says that the long variants are wanted.
func soak() bool { return os.Getenv("POLARCAST_SOAK") == "1" }

// stream are the arguments of a backup by the base backup protocol, whatever else this host would allow.
func stream(args ...string) []string { return append([]string{"--source=stream"}, args...) }

// slow are the arguments of a backup that takes long enough for a test to disturb it. It prints a line when the copying has begun (see begun).
func slow(dir string, args ...string) []string {
	return append(stream("-v", "-r", "4M", "-D", dir), args...)
}

// begun waits until the server sends files.
func begun(p *testenv.Process) { p.WaitOutput("write-ahead log start point") }

// fails waits for the end of a run that has to fail, and returns what it wrote to standard error.
func fails(t testing.TB, p *testenv.Process, want ...string) string {
	t.Helper()
	return failsWith(t, p, 1, want...)
}

func failsWith(t testing.TB, p *testenv.Process, status int, want ...string) string {
	t.Helper()
	if code := p.Wait(generous); code != status {
		t.Fatalf("exit status %d, want %d\n%s", code, status, p.Stderr())
	}
	p.NoSurvivors()
	for _, w := range want {
		if !strings.Contains(p.Stderr(), w) {
			t.Errorf("standard error does not say %q:\n%s", w, p.Stderr())
		}
	}
	oneError(t, p.Stderr())
	return p.Stderr()
}

// oneError fails the test unless a run told exactly one error, in one line.
func oneError(t testing.TB, stderr string) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(stderr, "\n"), "\n")
	n := 0
	for _, l := range lines {
		if strings.HasPrefix(l, "polar_basebackup: error: ") || l == "polar_basebackup: checksum error occurred" { // as version 11 says it
			n++
		}
		if !strings.HasPrefix(l, "polar_basebackup: ") && !notice(l) {
			t.Errorf("line without the program's name: %q in\n%s", l, stderr)
		}
		if strings.Contains(l, "panic") || strings.Contains(l, "goroutine ") {
			t.Fatalf("it crashed:\n%s", stderr)
		}
	}
	if n != 1 {
		t.Errorf("%d lines say error, want 1:\n%s", n, stderr)
	}
}

// notice says whether a line is one that libpq or a progress report prints, or one that goes on from the line before.
func notice(l string) bool {
	for _, p := range []string{"WARNING:  ", "NOTICE:  ", "DETAIL:  ", "HINT:  ", "\t", "waiting for checkpoint"} {
		if strings.HasPrefix(l, p) {
			return true
		}
	}
	return strings.Contains(l, " kB (")
}

// filler makes a table of about so many MB of text that does not compress well.
func filler(s *testenv.Server, mb int) {
	s.Exec("CREATE TABLE filler AS SELECT g AS id, (SELECT string_agg(md5(g::text || '/' || n), '') FROM generate_series(1, 30) n) AS v " +
		"FROM generate_series(1, " + strconv.Itoa(mb*1024) + ") g")
}

// check holds a plain copy against its manifest. The installed pg_verifybackup reads WAL of its own major only.
func check(t testing.TB, s *testenv.Server, dir string, args ...string) {
	t.Helper()
	if s.Major != testenv.ToolMajor("pg_waldump") {
		args = append(args, "-n")
	}
	verify(t, s, dir, args...)
	clean(t, dir)
}

// same starts a copy as an independent primary and compares all tables with those of a server that nothing writes to any more.
func same(t testing.TB, s *testenv.Server, dir string, opts testenv.CopyOptions) {
	t.Helper()
	c := testenv.StartCopy(t, s.Major, dir, testenv.Primary, opts)
	testenv.SameData(t, c.TableChecksums(), s.TableChecksums())
	c.Stop(testenv.Fast)
}

// untouched fails the test unless a directory is not there, or has no entries when empty is set.
func untouched(t testing.TB, dir string, empty bool) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	switch {
	case empty && (err != nil || len(entries) > 0):
		t.Errorf("%s holds %v (%v), want an empty directory", dir, entries, err)
	case !empty && !os.IsNotExist(err):
		t.Errorf("%s was left behind with %v (%v)", dir, entries, err)
	}
}

// modes fails the test unless all files and directories of a tree have these modes.
func modes(t testing.TB, dir string, file, directory os.FileMode) {
	t.Helper()
	wrong := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink != 0 {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		want := file
		if d.IsDir() {
			want = directory
		}
		if got := fi.Mode().Perm(); got != want {
			if wrong++; wrong < 10 {
				t.Errorf("%s has mode %o, want %o", path, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// files makes so many tables in schema small, a few hundred at a time: each transaction locks what it creates.
func files(s *testenv.Server, n int) {
	s.Exec("CREATE SCHEMA small")
	for at := 0; at < n; at += 500 {
		s.Exec(fmt.Sprintf("DO $$ BEGIN FOR i IN %d..%d LOOP EXECUTE format('CREATE TABLE small.t%%s AS SELECT %%s AS i', i, i); END LOOP; END $$",
			at, min(at+500, n)-1))
	}
}
