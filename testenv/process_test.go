package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProcessRunsUnprivilegedAndItsOrphansAreFound(t *testing.T) {
	p := Run(t, ProcessOptions{Stdin: "hello", Env: []string{"X=y"}}, "/bin/sh", "-c", `id -u; cat >&2; echo $X; exit 7`)
	if got, want := p.Stdout(), strconv.Itoa(Unprivileged().UID)+"\ny\n"; got != want || p.Stderr() != "hello" || p.ExitCode() != 7 {
		t.Errorf("stdout %q, stderr %q, code %d", got, p.Stderr(), p.ExitCode())
	}
	p.NoSurvivors()

	p = StartProcess(t, ProcessOptions{}, "/bin/sh", "-c", "sleep 1000 & echo started; wait")
	p.WaitOutput("started")
	children := descendants(p.PID())
	p.KillOnly()
	if len(children) != 1 || !children[0].alive() {
		t.Fatalf("children after the kill of their parent: %+v, want one that lives", children)
	}
	if p.ExitCode() != 128+int(syscall.SIGKILL) {
		t.Errorf("exit code %d", p.ExitCode())
	}
	p.Kill()
	p.NoSurvivors()
}

func TestFullDiskIsFull(t *testing.T) {
	dir := FullDisk(t, 1<<20)
	ballast := FillDisk(t, dir, 64<<10)
	name := filepath.Join(dir, "x")
	if err := os.WriteFile(name, make([]byte, 128<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing more than is free: %v", err)
	}
	os.Remove(ballast)
	if err := os.WriteFile(name, make([]byte, 128<<10), 0o600); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

func TestLeftoversOfABackupAreSeen(t *testing.T) {
	s := Start(t, 15, Options{})
	s.NoBackupLeft()
	s.Exec("SELECT pg_create_physical_replication_slot('kept')")
	s.NoBackupLeft("kept")
	rows, err := s.TryRows("postgres", strings.ReplaceAll(leftovers, "$keep", "'{}'::text[]"))
	if err != nil || len(rows) != 1 || rows[0][0] != "slot kept" {
		t.Errorf("a slot that was left gives %v, %v", rows, err)
	}
}

func TestGoroutinesOfTheModuleAreSeen(t *testing.T) {
	before := len(goroutines())
	stop := make(chan struct{})
	go leak(stop)
	if err := poll(time.Minute, func() (bool, error) { return len(goroutines()) == before+1, nil }); err != nil {
		t.Error("a goroutine that runs code of this module was not counted")
	}
	close(stop)
	NoGoroutineLeaks(t)
}

func leak(stop chan struct{}) { <-stop }
