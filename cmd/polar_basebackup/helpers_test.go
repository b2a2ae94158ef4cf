package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"polarcast/internal/dropin"
	"polarcast/testenv"
)

// generous is how long a run may take on a loaded machine before the test calls it hung.
const generous = 5 * time.Minute

// start runs polar_basebackup against a server.
func start(t testing.TB, s *testenv.Server, args ...string) *testenv.Process {
	t.Helper()
	args = append([]string{"-h", s.Host(), "-p", s.PortString(), "-U", "postgres", "-c", "fast"}, args...)
	return testenv.StartProcess(t, testenv.ProcessOptions{}, testenv.Binary(t, "polar_basebackup"), args...)
}

// must runs it to a good end and returns what it wrote to standard error.
func must(t testing.TB, s *testenv.Server, args ...string) string {
	t.Helper()
	p := start(t, s, args...)
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("polar_basebackup %v: exit status %d\n%s", args, code, p.Stderr())
	}
	p.NoSurvivors()
	return p.Stderr()
}

// report reads a --report file.
func report(t testing.TB, name string) dropin.Report {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var r dropin.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

// newDir returns a path that does not exist, in a directory of the unprivileged user.
func newDir(t testing.TB) string { return filepath.Join(testenv.Dir(t), "copy") }

// verify runs pg_verifybackup where the installed one can read the server's manifest.
func verify(t testing.TB, s *testenv.Server, dir string, args ...string) {
	t.Helper()
	have := testenv.ToolMajor("pg_verifybackup")
	if s.Major < 13 || have < s.Major || have == 0 {
		return
	}
	if have != s.Major {
		args = append(args, "-n") // pg_waldump reads the WAL of its own major only
	}
	p := testenv.Run(t, testenv.ProcessOptions{}, testenv.Tool(t, "pg_verifybackup"), append(args, dir)...)
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("pg_verifybackup %s: %s%s", dir, p.Stdout(), p.Stderr())
	}
}

// clean fails the test when a finished target holds anything of ours.
func clean(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if m, _ := filepath.Match("*polarcast*", filepath.Base(path)); m {
			t.Errorf("%s was left in the target", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
