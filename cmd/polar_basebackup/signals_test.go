package main_test

import (
	"syscall"
	"testing"

	"polarcast/testenv"
)

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
