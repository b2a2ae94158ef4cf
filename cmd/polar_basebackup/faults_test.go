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

// The source goes away in the middle: the run says so, the same command continues it, and the copy is right.
func TestSourceLost(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 8)
	for _, c := range []struct {
		name    string
		trouble func(px *testenv.Proxy)
		after   func()
		want    string
	}{
		{"stopped fast", func(*testenv.Proxy) { s.Stop(testenv.Fast) }, s.Start, ""},
		{"stopped at once", func(*testenv.Proxy) { s.Stop(testenv.Immediate) }, s.Start, ""},
		{"walsender killed", func(*testenv.Proxy) {
			s.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE state = 'backup'")
		}, nil, ""},
		{"link cut for good", func(px *testenv.Proxy) { px.Refuse(true); px.Cut() }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			px := s.Proxy()
			dir, file := newDir(t), filepath.Join(testenv.Dir(t), "report.json")
			args := func(rate string) []string {
				return []string{"--source=stream", "-v", "-h", "127.0.0.1", "-p", portOf(px), "-r", rate, "-D", dir, "--report", file}
			}
			p := start(t, s, args("4M")...)
			begun(p)
			if err := px.WaitDown(t.Context(), 4<<20); err != nil {
				t.Fatal(err)
			}
			c.trouble(px)
			text := fails(t, p, "run the same command again to continue it")
			if strings.Contains(text, "session") && strings.Contains(text, "lost") {
				t.Errorf("it speaks of sessions:\n%s", text)
			}
			if r := report(t, file); r.OK || r.Error == "" || r.Continued {
				t.Errorf("report %+v", r)
			}
			if c.after != nil {
				c.after()
			}
			px.Refuse(false)
			if _, err := os.Stat(filepath.Join(dir, "global", "pg_control")); err == nil {
				t.Error("an incomplete copy has a pg_control")
			}
			p = start(t, s, args("100M")...)
			if code := p.Wait(generous); code != 0 {
				t.Fatalf("rerun: exit status %d\n%s", code, p.Stderr())
			}
			if !strings.Contains(p.Stderr(), "continuing the interrupted backup") {
				t.Errorf("it does not say that it continues:\n%s", p.Stderr())
			}
			if r := report(t, file); !r.OK || !r.Continued || r.Session < 2 || r.BytesUnchanged == 0 {
				t.Errorf("report %+v", r)
			}
			s.NoBackupLeft()
			check(t, s, dir)
			if c.after != nil {
				same(t, s, dir, testenv.CopyOptions{})
			}
		})
	}
}

// The connection that brings WAL is cut: it is made again, and WAL is complete all the same.
func TestWALConnectionCut(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{WALSegMB: 1, Conf: "wal_keep_size = 512MB\n"})
	filler(s, 12)
	s.LoadTPCB(1, 2000)
	load := s.StartTPCB(1)
	dir := newDir(t)
	px := startWALProxy(t, "127.0.0.1:"+s.PortString())
	p := start(t, s, slow(dir, "-h", "127.0.0.1", "-p", px.port())...)
	begun(p)
	for i := range 3 {
		load.WaitCommitted(20)
		px.wait(int64(i + 1))
		px.cut()
	}
	if p.Ended() {
		t.Fatalf("it was over too soon to test anything\n%s", p.Stderr())
	}
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("exit status %d\n%s", code, p.Stderr())
	}
	load.Stop()
	if !strings.Contains(p.Stderr(), "connection for WAL") {
		t.Errorf("it does not say that the connection was lost:\n%s", p.Stderr())
	}
	s.NoBackupLeft()
	check(t, s, dir)
	c := testenv.StartCopy(t, 15, dir, testenv.Primary, testenv.CopyOptions{})
	c.CheckTPCB()
	c.Stop(testenv.Fast)

	// A terminated one ends the run, as it ends the original; the same command continues.
	dir = newDir(t)
	p = start(t, s, slow(dir)...)
	begun(p)
	s.Eventually("the connection for WAL was terminated", func() (bool, error) {
		n, err := s.TryValue("postgres", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_replication WHERE state = 'streaming'")
		return n != "0", err
	})
	fails(t, p, "terminating connection due to administrator command", "run the same command again to continue it")
	must(t, s, stream("-v", "-D", dir)...)
	check(t, s, dir)
	s.NoBackupLeft()
}

// The WAL that is missing was removed while the connection was away: the run fails and says so; nothing is called complete.
func TestWALGone(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{WALSegMB: 1, Conf: "wal_keep_size = 0\nmax_wal_size = 2MB\nmin_wal_size = 2MB\n"})
	filler(s, 12)
	dir := newDir(t)
	px := startWALProxy(t, "127.0.0.1:"+s.PortString())
	p := start(t, s, slow(dir, "--no-slot", "-h", "127.0.0.1", "-p", px.port())...)
	begun(p)
	px.wait(1)
	px.refuse.Store(true)
	px.cut()
	for range 4 {
		s.Exec("CREATE TABLE w AS SELECT g FROM generate_series(1, 60000) g", "DROP TABLE w", "SELECT pg_switch_wal()", "CHECKPOINT")
	}
	px.refuse.Store(false)
	fails(t, p, "no longer has the WAL", "run the same command again to continue it")
	if complete(dir) {
		t.Error("an incomplete copy has a pg_control")
	}
	s.NoBackupLeft()
	must(t, s, stream("-v", "-D", dir, "--no-slot", "-h", "127.0.0.1", "-p", px.port())...)
	check(t, s, dir)
	same(t, s, dir, testenv.CopyOptions{})
}

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

// Corrupt pages in the source: the copy is kept, as the original keeps it, and the exit status is 1.
func TestCorruptPage(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 11} {
		s := testenv.Start(t, major, testenv.Options{Checksums: true})
		filler(s, 1)
		file := s.Path(s.Value("SELECT pg_relation_filepath('filler')"))
		s.Restart(testenv.Fast)
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("polarcast"), 8192+4000); err != nil {
			t.Fatal(err)
		}
		f.Close()
		dir := newDir(t)
		p := start(t, s, stream("-D", dir)...)
		fails(t, p, "checksum error occurred", "WARNING:  checksum verification failed in file")
		check(t, s, dir) // the manifest is of the damaged file
		s.NoBackupLeft()
		must(t, s, stream("-D", newDir(t), "--no-verify-checksums")...)
		dir = newDir(t)
		p = start(t, s, stream("-D", dir, "--no-resume")...)
		fails(t, p, "checksum error occurred")
		check(t, s, dir)
		p = start(t, s, stream("-D", newDir(t), "-Ft")...)
		fails(t, p, "checksum error occurred")
	}
}

// A promotion makes a backup of a standby useless: a clear error.
func TestPromotedStandby(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 16)
	first := newDir(t)
	must(t, s, stream("-D", first, "-R")...)
	standby := testenv.StartCopy(t, 15, first, testenv.AsIs, testenv.CopyOptions{})
	standby.Streaming()
	standby.CaughtUp(s)

	dir := newDir(t) // a standby as the source
	p := start(t, standby, stream("-D", dir)...)
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("exit status %d\n%s", code, p.Stderr())
	}
	standby.NoBackupLeft()
	check(t, s, dir)
	if err := os.Remove(filepath.Join(dir, "standby.signal")); err != nil { // copied like any other file
		t.Fatal(err)
	}
	same(t, s, dir, testenv.CopyOptions{})

	dir = newDir(t)
	p = start(t, standby, slow(dir)...)
	begun(p)
	standby.Promote()
	text := fails(t, p)
	if !strings.Contains(text, "promoted") {
		t.Errorf("it does not say that the server was promoted:\n%s", text)
	}
	standby.NoBackupLeft()
	must(t, standby, stream("-D", newDir(t))...) // on its new timeline
	p = start(t, standby, stream("-v", "-D", dir)...)
	if code := p.Wait(generous); code == 0 {
		check(t, standby, dir)
		same(t, standby, dir, testenv.CopyOptions{})
	} else {
		oneError(t, p.Stderr())
		t.Errorf("rerun after a promotion: exit status %d\n%s", code, p.Stderr())
	}
}

// Signals: the run ends, and says what to do.
func TestSignals(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		dir := newDir(t)
		p := start(t, s, slow(dir)...)
		begun(p)
		p.Signal(sig)
		fails(t, p, "interrupted", "run the same command again to continue it")
		s.NoBackupLeft()
		must(t, s, stream("-v", "-D", dir)...)
		check(t, s, dir)
	}
	// Before the server has answered.
	px := s.Proxy()
	px.Pause()
	dir := newDir(t)
	p := start(t, s, stream("-h", "127.0.0.1", "-p", portOf(px), "-D", dir)...)
	s.Eventually("it has connected", func() (bool, error) { return px.Accepted() > 0, nil })
	p.Signal(syscall.SIGINT)
	fails(t, p, "interrupted")
	untouched(t, dir, false)
	px.Close()

	p = start(t, s, slow(dir, "--no-resume")...)
	begun(p)
	p.Signal(syscall.SIGTERM)
	fails(t, p, "interrupted", "removing data directory \""+dir+"\"")
	untouched(t, dir, false)
	s.NoBackupLeft()

	p = start(t, s, slow(dir, "-Ft")...) // archives cannot be continued: they are removed
	begun(p)
	p.Signal(syscall.SIGTERM)
	fails(t, p, "interrupted", "removing data directory \""+dir+"\"")
	untouched(t, dir, false)
	s.NoBackupLeft()
}

func portOf(px *testenv.Proxy) string { return px.Addr()[strings.LastIndex(px.Addr(), ":")+1:] }

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
		fails(t, p, "interrupted", "removing data directory")
		untouched(t, dir, false)
		untouched(t, wal, false)
		untouched(t, to, to == found)
	}
	p := start(t, s, stream("--no-resume", "-n", "-v", "-r", "1M", "-D", dir, "--waldir", wal, "-T", space+"="+made)...)
	begun(p)
	p.Signal(15)
	fails(t, p, "interrupted", "not removed at user's request")
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
