package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/testenv"
)

// Between the lost run and its continuation a tablespace is added, another is dropped, and a table moves.
func TestTablespacesChangeBetweenRuns(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	from := map[string]string{}
	var maps []string
	to := testenv.Dir(t)
	for _, name := range []string{"stays", "goes"} {
		from[name] = s.Tablespace(name)
		s.Exec("CREATE TABLE in_" + name + " TABLESPACE " + name + " AS SELECT g FROM generate_series(1, 1000) g")
	}
	from["comes"] = s.NewDir("comes")
	for name, dir := range from {
		maps = append(maps, "-T", dir+"="+filepath.Join(to, name))
	}
	dir := newDir(t)
	p := start(t, s, slow(dir, maps...)...)
	p.WaitOutput("write-ahead log start point")
	s.Eventually("the run has made directories", func() (bool, error) {
		_, err := os.Stat(filepath.Join(to, "goes"))
		return err == nil, nil
	})
	p.Kill()
	s.NoBackupLeft()
	s.Exec("DROP TABLE in_goes", "DROP TABLESPACE goes")
	s.Exec("CREATE TABLESPACE comes LOCATION '" + from["comes"] + "'")
	s.Exec("CREATE TABLE in_comes TABLESPACE comes AS SELECT g FROM generate_series(1, 1000) g")
	s.Exec("ALTER TABLE in_stays SET TABLESPACE comes")
	must(t, s, stream(append(maps, "-v", "-D", dir)...)...)
	check(t, s, dir)
	links, _ := filepath.Glob(filepath.Join(dir, "pg_tblspc", "*"))
	if len(links) != 2 {
		t.Errorf("pg_tblspc holds %v", links)
	}
	for _, l := range links {
		if at, err := os.Readlink(l); err != nil || filepath.Dir(at) != to || filepath.Base(at) == "goes" {
			t.Errorf("%s leads to %q (%v)", l, at, err)
		}
	}
	same(t, s, dir, testenv.CopyOptions{})
}

// Directories of others are not touched, and what a refused run has made is removed.
func TestForeignDirectories(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	space := s.Tablespace("aside")
	s.Exec("CREATE TABLE there TABLESPACE aside AS SELECT g FROM generate_series(1, 1000) g")
	full := testenv.Dir(t)
	precious := filepath.Join(full, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	kept := func() {
		t.Helper()
		if b, err := os.ReadFile(precious); err != nil || string(b) != "x" {
			t.Fatalf("the file of another is gone: %v", err)
		}
	}
	for _, resume := range []string{"--resume", "--no-resume"} {
		// The data directory.
		fails(t, start(t, s, stream(resume, "-D", full)...), "directory \""+full+"\" exists but is not empty")
		kept()
		// A tablespace's.
		dir := newDir(t)
		fails(t, start(t, s, stream(resume, "-D", dir, "-T", space+"="+full)...), "directory \""+full+"\" exists but is not empty", "removing data directory")
		kept()
		untouched(t, dir, false)
		// The same on the server's own host, with no mapping at all.
		fails(t, start(t, s, stream(resume, "-D", dir)...), "directory \""+space+"\" exists but is not empty")
		untouched(t, dir, false)
		if s.Value("SELECT count(*) FROM there") != "1000" {
			t.Fatal("the server's own tablespace was damaged")
		}
		// WAL.
		fails(t, start(t, s, stream(resume, "-D", dir, "-T", space+"="+newDir(t), "--waldir", full)...), "directory \""+full+"\" exists but is not empty")
		kept()
		untouched(t, dir, false)
		// A directory that was there and empty is left, and is empty again.
		empty := testenv.Dir(t)
		fails(t, start(t, s, stream(resume, "-D", empty, "-T", space+"="+full)...), "removing contents of data directory")
		untouched(t, empty, true)
	}
	s.NoBackupLeft()

	// --no-resume removes tablespace and WAL directories that it made, and empties those that it found; -n keeps them.
	made, found, wal, dir := newDir(t), testenv.Dir(t), newDir(t), newDir(t)
	for _, to := range []string{made, found} {
		p := start(t, s, stream("--no-resume", "-v", "-r", "1M", "-D", dir, "--waldir", wal, "-T", space+"="+to)...)
		begun(p)
		p.Signal(15)
		failsWith(t, p, 143, "interrupted", "removing data directory")
		untouched(t, dir, false)
		untouched(t, wal, false)
		untouched(t, to, to == found)
	}
	p := start(t, s, stream("--no-resume", "-n", "-v", "-r", "1M", "-D", dir, "--waldir", wal, "-T", space+"="+made)...)
	begun(p)
	p.Signal(15)
	failsWith(t, p, 143, "interrupted", "not removed at user's request")
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	// The next run cleans up what the killed or kept one left, and begins again.
	text := must(t, s, stream("--no-resume", "-D", dir, "--waldir", wal, "-T", space+"="+made)...)
	if strings.Contains(text, "continuing") {
		t.Error(text)
	}
	check(t, s, dir)
	s.NoBackupLeft()
}

// The directory is removed under a run: it ends by name, whichever way it reads, and touches nothing more.
func TestDirectoryRemovedWhileCopying(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	for _, args := range [][]string{slow(newDir(t)), {"--source=files", "--read=sql", "-v", "-r", "4M", "-D", newDir(t)}} {
		dir := args[len(args)-1]
		p := start(t, s, args...)
		begun(p)
		s.Eventually("files are written", func() (bool, error) {
			found, err := filepath.Glob(filepath.Join(dir, "base", "*", "*"))
			return len(found) > 0, err
		})
		for os.RemoveAll(dir) != nil { // files are written into it
		}
		fails(t, p, "data directory \""+dir+"\" was removed or replaced while the backup ran")
		s.NoBackupLeft()
	}
}

// Directories may be given relative, with slashes at the end, and under any umask.
func TestDirectoryNames(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{GroupAccess: true})
	work := testenv.Dir(t)
	for i, c := range []struct{ dir, umask string }{{"copy", "0000"}, {"./a//b/../c/", "0077"}, {work + "/abs///", "0022"}, {"mit leerzeichen ü", "0177"}} {
		script := fmt.Sprintf(`umask %s; exec "$0" "$@"`, c.umask)
		p := testenv.Run(t, testenv.ProcessOptions{Dir: work}, "/bin/sh", append([]string{"-c", script, testenv.Binary(t, "polar_basebackup")},
			append(stream("-h", "127.0.0.1", "-p", s.PortString(), "-U", "postgres", "-c", "fast", "-N", "-D", c.dir), []string{"-v"}...)...)...)
		if code := p.Wait(generous); code != 0 {
			t.Errorf("%d: -D %q: exit status %d\n%s", i, c.dir, code, p.Stderr())
			continue
		}
		dir := c.dir
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(work, dir)
		}
		dir = filepath.Clean(dir)
		check(t, s, dir)
		modes(t, dir, 0o640, 0o750)
	}
	s.NoBackupLeft()
}
