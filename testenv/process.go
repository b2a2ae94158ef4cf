package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs as the unprivileged user in a process group of its own. It is killed when the test ends.
type Process struct {
	Command string // for messages

	t      testing.TB
	cmd    *exec.Cmd
	stdout output
	stderr output
	exited chan struct{}
}

// ProcessOptions are the choices for StartProcess.
type ProcessOptions struct {
	Dir   string   // working directory; empty: the system's temporary directory
	Env   []string // added to the test's environment, which is passed on without PG*, LC_* and HOME
	Stdin string
}

// StartProcess starts a program and returns at once.
func StartProcess(t testing.TB, opts ProcessOptions, program string, args ...string) *Process {
	t.Helper()
	p := &Process{Command: strings.Join(append([]string{program}, args...), " "), t: t, exited: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir = opts.Dir
	if p.cmd.Dir == "" {
		p.cmd.Dir = os.TempDir()
	}
	p.cmd.Env = append(cleanEnv(), opts.Env...)
	p.cmd.Stdin = strings.NewReader(opts.Stdin)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = sysProcAttr(syscall.SIGKILL)
	p.cmd.WaitDelay = time.Second // a child that keeps our pipes open must not hold up Wait for ever
	if err := startCommand(p.cmd); err != nil {
		t.Fatalf("start %s: %v", p.Command, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s\nstdout:\n%s\nstderr:\n%s", p.Command, p.Stdout(), p.Stderr())
		}
	})
	return p
}

// Run runs a program to its end.
func Run(t testing.TB, opts ProcessOptions, program string, args ...string) *Process {
	t.Helper()
	p := StartProcess(t, opts, program, args...)
	p.Wait(10 * time.Minute)
	return p
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stdout and Stderr are what the program has written so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr is what the program has written to it so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Wait waits for the program's end and returns its exit code (128 + the signal's number when a signal ended it, as a shell says).
func (p *Process) Wait(timeout time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(timeout):
		syscall.Kill(p.PID(), syscall.SIGQUIT) // a Go program prints its goroutines
		select {
		case <-p.exited:
		case <-time.After(5 * time.Second):
			p.Kill()
		}
		p.t.Fatalf("%s did not end within %v", p.Command, timeout)
	}
	return p.ExitCode()
}

// ExitCode is the code of a program that has ended; -1 while it runs.
func (p *Process) ExitCode() int {
	select {
	case <-p.exited:
	default:
		return -1
	}
	if st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		return 128 + int(st.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Ended says whether the program has ended.
func (p *Process) Ended() bool { return p.ExitCode() != -1 }

// Signal sends a signal to the program alone, not to its children.
func (p *Process) Signal(sig syscall.Signal) {
	if !p.Ended() {
		syscall.Kill(p.PID(), sig)
	}
}

// KillOnly ends the program with SIGKILL and leaves its children, if it has any (see NoSurvivors).
func (p *Process) KillOnly() {
	p.Signal(syscall.SIGKILL)
	<-p.exited
}

// Kill ends the program and all of its process group with SIGKILL, and waits for it.
func (p *Process) Kill() {
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.t.Errorf("kill %s: %v", p.Command, err)
	}
	<-p.exited
}

// NoSurvivors fails the test when processes of the program's group still run some seconds after it ended.
func (p *Process) NoSurvivors() {
	p.t.Helper()
	<-p.exited
	err := poll(10*time.Second, func() (bool, error) {
		for _, other := range processes() {
			if other.pgrp == p.PID() && other.alive() {
				return false, fmt.Errorf("process %d (%s) is left", other.pid, other.name)
			}
		}
		return true, nil
	})
	if err != nil {
		p.t.Errorf("after %s: %v", p.Command, err)
	}
}

// WaitOutput waits until the program has written text to stdout or stderr, and fails the test when it ends without.
func (p *Process) WaitOutput(text string) {
	p.t.Helper()
	err := poll(3*time.Minute, func() (bool, error) {
		ended := p.Ended()
		if strings.Contains(p.Stdout(), text) || strings.Contains(p.Stderr(), text) {
			return true, nil
		}
		if ended {
			p.t.Fatalf("%s ended with code %d and never wrote %q", p.Command, p.ExitCode(), text)
		}
		return false, fmt.Errorf("not written yet")
	})
	if err != nil {
		p.t.Fatalf("%s: waited for %q: %v", p.Command, text, err)
	}
}

// output collects what a program writes; it may be read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
