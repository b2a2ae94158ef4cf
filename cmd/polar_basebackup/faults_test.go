package main_test

import (
	"os"
	"path/filepath"
	"strings"
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
	// With the files source the same run begins another session, with the slot of the first.
	dir := newDir(t)
	p := start(t, s, "-v", "-r", "12M", "-D", dir, "--source=files", "-C", "-S", "kept")
	begun(p)
	s.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'polarcast backup mode'")
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("exit status %d\n%s", code, p.Stderr())
	}
	for what, want := range map[string]int{"write-ahead log start point": 2, "created replication slot \"kept\"": 1, "starting background WAL receiver": 1} {
		if n := strings.Count(p.Stderr(), what); n != want {
			t.Errorf("%q is said %d times, want %d:\n%s", what, n, want, p.Stderr())
		}
	}
	check(t, s, dir)
	s.NoBackupLeft("kept")
}

// What had come before the server went away is written before the run ends, so that the next one need not write it again.
func TestWhatCameBeforeTheSourceWasLost(t *testing.T) {
	t.Parallel()
	const came, unfinished = 24 << 20, 2 << 20 // bytes; the last chunk, headers, and what the server has changed since
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 24)
	px := s.Proxy()
	dir, file := newDir(t), filepath.Join(testenv.Dir(t), "report.json")
	args := []string{"--source=stream", "-h", "127.0.0.1", "-p", portOf(px), "-r", "40M", "-D", dir, "--report", file}
	p := start(t, s, args...)
	if err := px.WaitDown(t.Context(), came); err != nil {
		t.Fatal(err)
	}
	s.Stop(testenv.Immediate)
	fails(t, p, "run the same command again to continue it")
	s.Start()
	if p = start(t, s, args...); p.Wait(generous) != 0 {
		t.Fatal(p.Stderr())
	}
	if r := report(t, file); r.BytesUnchanged < came-unfinished {
		t.Errorf("of %d bytes that came, %d need not be written again", came, r.BytesUnchanged)
	}
	check(t, s, dir)
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
	s.Exec("ALTER SYSTEM SET wal_keep_size = '64MB'", "SELECT pg_reload_conf()") // as the message says
	must(t, s, stream("-v", "-D", dir, "--no-slot", "-h", "127.0.0.1", "-p", px.port())...)
	check(t, s, dir)
	same(t, s, dir, testenv.CopyOptions{})
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

func portOf(px *testenv.Proxy) string { return px.Addr()[strings.LastIndex(px.Addr(), ":")+1:] }
