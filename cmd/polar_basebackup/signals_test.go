package main_test

import (
	"syscall"
	"testing"
	"time"

	"polarcast/testenv"
)

// Signals: the run cleans up, says what to do, and ends by the signal, as the original does: that is what a shell looks at.
func TestSignals(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		dir := newDir(t)
		p := start(t, s, slow(dir)...)
		begun(p)
		p.Signal(sig)
		failsWith(t, p, 128+int(sig), "interrupted", "run the same command again to continue it")
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
	failsWith(t, p, 128+int(syscall.SIGINT), "interrupted")
	untouched(t, dir, false)
	px.Close()

	p = start(t, s, slow(dir, "--no-resume")...)
	begun(p)
	p.Signal(syscall.SIGTERM)
	failsWith(t, p, 128+int(syscall.SIGTERM), "interrupted", "removing data directory \""+dir+"\"")
	untouched(t, dir, false)
	s.NoBackupLeft()

	p = start(t, s, slow(dir, "-Ft")...) // archives cannot be continued: they are removed
	begun(p)
	p.Signal(syscall.SIGTERM)
	time.Sleep(time.Millisecond)
	p.Signal(syscall.SIGTERM) // timeout(1) sends it to the process and to its group
	failsWith(t, p, 128+int(syscall.SIGTERM), "interrupted", "removing data directory \""+dir+"\"")
	untouched(t, dir, false)
	s.NoBackupLeft()
}
