package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/testenv"
)

// The same command while the first still runs: refused, and the first is not disturbed, with and without --no-resume.
func TestRunTwiceAtOnce(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	dir := newDir(t)
	p := start(t, s, slow(dir)...)
	begun(p)
	fails(t, start(t, s, stream("-D", dir)...), "in use by another process")
	fails(t, start(t, s, stream("-D", dir, "--no-resume")...), "in use by another process")
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("exit status %d\n%s", code, p.Stderr())
	}
	s.NoBackupLeft()
	check(t, s, dir)
}

// What the buffers held is lost or damaged: the run starts over by itself or says what to do; it never calls a part of a copy complete.
func TestBuffersLost(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	for _, c := range []struct {
		name   string
		damage func(store string) error
	}{
		{"removed", os.RemoveAll},
		{"files emptied", func(store string) error {
			return filepath.WalkDir(store, func(name string, d os.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() && strings.HasSuffix(name, ".blk") {
					err = os.Truncate(name, 0)
				}
				return err
			})
		}},
		{"index cut", func(store string) error {
			return filepath.WalkDir(store, func(name string, d os.DirEntry, err error) error {
				if err != nil || !strings.HasSuffix(name, ".blk") || !strings.Contains(name, "INDEX") {
					return err
				}
				fi, err := d.Info()
				if err != nil {
					return err
				}
				return os.Truncate(name, fi.Size()*2/3)
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := newDir(t)
			p := start(t, s, slow(dir)...)
			begun(p)
			s.Eventually("files are written", func() (bool, error) {
				found, err := filepath.Glob(filepath.Join(dir, "base", "*", "1259"))
				return len(found) > 0, err
			})
			p.Kill()
			if err := c.damage(filepath.Join(dir, ".polarcast", "jetstream")); err != nil {
				t.Fatal(err)
			}
			p = start(t, s, stream("-v", "-D", dir)...)
			if code := p.Wait(generous); code != 0 {
				text := fails(t, p)
				if !strings.Contains(text, "--no-resume") && !strings.Contains(text, "start") {
					t.Errorf("it does not say what to do:\n%s", text)
				}
				if complete(dir) {
					t.Error("an incomplete copy has a pg_control")
				}
				must(t, s, stream("-v", "-D", dir, "--no-resume")...)
			}
			check(t, s, dir)
			same(t, s, dir, testenv.CopyOptions{})
			s.NoBackupLeft()
		})
	}
}

// The same with a NATS server of its own: what an interrupted run left there is continued, or removed.
func TestRerunOverNATS(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 8)
	n := testenv.StartNATS(t, testenv.NATSOptions{})
	for _, again := range []string{"--resume", "--no-resume"} {
		dir := newDir(t)
		p := start(t, s, slow(dir, "--nats", n.URL())...)
		begun(p)
		p.Kill()
		s.NoBackupLeft()
		text := must(t, s, stream("-v", "-D", dir, "--nats", n.URL(), again)...)
		if got := strings.Contains(text, "continuing the interrupted backup"); got != (again == "--resume") {
			t.Errorf("%s:\n%s", again, text)
		}
		check(t, s, dir)
		same(t, s, dir, testenv.CopyOptions{})
	}
	dir := newDir(t)
	n.Stop()
	fails(t, start(t, s, stream("-D", dir, "--nats", n.URL())...), n.URL())
	untouched(t, dir, false)
	s.NoBackupLeft()
}

// A rerun with other options, or against another server, is refused and changes nothing.
func TestRerunRefused(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	other := testenv.Start(t, 15, testenv.Options{})
	filler(s, 8)
	dir := newDir(t)
	p := start(t, s, slow(dir)...)
	begun(p)
	p.Kill()
	s.NoBackupLeft()
	marker := func() string { b, _ := os.ReadFile(filepath.Join(dir, ".polarcast", "backup")); return string(b) }
	before := marker()
	fails(t, start(t, s, stream("-D", dir, "-Xfetch")...), "other options", "--no-resume")
	fails(t, start(t, s, stream("-D", dir, "-l", "another")...), "other options", "--no-resume")
	// The same command, which now leads to another server.
	at := []string{"-h", s.Host(), "-p", s.PortString()}
	s.Stop(testenv.Fast)
	px := testenv.StartProxy(t, "tcp", "127.0.0.1:"+other.PortString())
	_ = at
	fails(t, start(t, other, stream("-h", "127.0.0.1", "-p", portOf(px), "-D", dir)...), "other options")
	s.Start()
	if after := marker(); before == "" || after != before {
		t.Errorf("the marker was %q and is %q", before, after)
	}
	must(t, s, stream("-D", dir+"/")...)
	check(t, s, dir)
	same(t, s, dir, testenv.CopyOptions{})
	fails(t, start(t, s, stream("-D", dir)...), "exists but is not empty")
	s.NoBackupLeft()
}

// The same command line, but another server answers at the address.
func TestRerunOtherServer(t *testing.T) {
	t.Parallel()
	one, two := testenv.Start(t, 15, testenv.Options{}), testenv.Start(t, 15, testenv.Options{})
	filler(one, 8)
	sockets := testenv.Dir(t)
	link := func(s *testenv.Server) {
		t.Helper()
		name := filepath.Join(sockets, ".s.PGSQL.5432")
		_ = os.Remove(name)
		if err := os.Symlink(filepath.Join(s.Sockets, ".s.PGSQL."+s.PortString()), name); err != nil {
			t.Fatal(err)
		}
	}
	dir := newDir(t)
	run := func(args ...string) *testenv.Process {
		return testenv.StartProcess(t, testenv.ProcessOptions{}, testenv.Binary(t, "polar_basebackup"),
			append([]string{"-h", sockets, "-p", "5432", "-U", "postgres", "-c", "fast"}, args...)...)
	}
	link(one)
	p := run(slow(dir)...)
	begun(p)
	p.Kill()
	link(two)
	fails(t, run(stream("-D", dir)...), "holds an interrupted backup of another server", "--no-resume")
	link(one)
	p = run(stream("-v", "-D", dir)...)
	if code := p.Wait(generous); code != 0 || !strings.Contains(p.Stderr(), "continuing the interrupted backup") {
		t.Fatalf("exit status %d\n%s", code, p.Stderr())
	}
	check(t, one, dir)
	one.NoBackupLeft()
	two.NoBackupLeft()
}
