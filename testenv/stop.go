package testenv

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// StopMode is how a server is asked to end.
type StopMode syscall.Signal

// The modes of pg_ctl stop.
const (
	Smart     = StopMode(syscall.SIGTERM) // waits for clients
	Fast      = StopMode(syscall.SIGINT)  // disconnects clients, writes a checkpoint
	Immediate = StopMode(syscall.SIGQUIT) // no checkpoint: the next start is a crash recovery
)

// stopTimeout bounds a shutdown.
const stopTimeout = 2 * time.Minute

// Stop ends the server and waits until the process is gone.
func (s *Server) Stop(mode StopMode) {
	s.t.Helper()
	pid, exited := s.process()
	if pid == 0 {
		return
	}
	children := descendants(pid)
	if err := syscall.Kill(pid, syscall.Signal(mode)); err != nil && err != syscall.ESRCH {
		s.t.Fatalf("stop PostgreSQL %d: %v", s.Major, err)
	}
	select {
	case <-exited:
		reap(children)
	case <-time.After(stopTimeout):
		s.t.Errorf("PostgreSQL %d did not stop within %v; its log ends with:\n%s", s.Major, stopTimeout, s.logTail(2000))
		s.Kill()
	}
}

// Kill ends the postmaster and all its children with SIGKILL, as a machine that loses power does (the kernel's page cache survives).
func (s *Server) Kill() {
	pid, exited := s.process()
	if pid == 0 {
		return
	}
	syscall.Kill(pid, syscall.SIGSTOP) // no new children between the listing and the kill
	children := descendants(pid)
	syscall.Kill(pid, syscall.SIGKILL)
	for _, c := range children {
		c.kill(syscall.SIGKILL)
	}
	<-exited
	reap(children)
}

// Restart is Stop and Start.
func (s *Server) Restart(mode StopMode) {
	s.t.Helper()
	s.Stop(mode)
	s.Start()
}

// Running says whether the postmaster lives.
func (s *Server) Running() bool {
	pid, _ := s.process()
	return pid != 0
}

// PID is the postmaster's process id; 0 when it does not run.
func (s *Server) PID() int {
	pid, _ := s.process()
	return pid
}

func (s *Server) process() (pid int, exited chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0, nil
	}
	return s.cmd.Process.Pid, s.exited
}

// cleanup ends the server at the end of the test, and shows its log when the test failed.
func (s *Server) cleanup() {
	s.Stop(Immediate)
	if s.t.Failed() {
		s.t.Logf("PostgreSQL %d on port %d, end of its log:\n%s", s.Major, s.Port, s.logTail(6000))
	}
}

// reap waits until processes that lost their parent are gone, and ends them after a while.
func reap(children []proc) {
	deadline := time.Now().Add(20 * time.Second)
	for _, c := range children {
		for c.alive() {
			if time.Now().After(deadline) {
				c.kill(syscall.SIGKILL)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// Promote makes a standby a primary and waits until it accepts writes.
func (s *Server) Promote() {
	s.t.Helper()
	pid, _ := s.process()
	if pid == 0 {
		s.t.Fatalf("PostgreSQL %d does not run, it cannot be promoted", s.Major)
	}
	if s.Major >= 12 {
		s.Exec("SELECT pg_promote()")
	} else {
		file := s.Path("promote")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			s.t.Fatal(err)
		}
		Own(s.t, file)
		syscall.Kill(pid, syscall.SIGUSR1)
	}
	s.Eventually("it is promoted", func() (bool, error) {
		v, err := s.TryValue("postgres", "SELECT pg_is_in_recovery()")
		return v == "false", err
	})
}

// Eventually waits until cond holds, and fails the test when it does not within some minutes. Errors count as "not yet".
func (s *Server) Eventually(what string, cond func() (bool, error)) {
	s.t.Helper()
	if err := poll(startTimeout, cond); err != nil {
		s.t.Fatalf("PostgreSQL %d on port %d: waited for: %s: %v; its log ends with:\n%s", s.Major, s.Port, what, err, s.logTail(3000))
	}
}

// poll calls cond until it is true.
func poll(timeout time.Duration, cond func() (bool, error)) error {
	deadline := time.Now().Add(timeout)
	for {
		ok, err := cond()
		if ok && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = fmt.Errorf("not within %v", timeout)
			}
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
