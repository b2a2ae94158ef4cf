package cli

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

func TestInterrupts(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	i := CatchInterrupts()
	defer i.Stop()
	send := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGHUP)
	send(syscall.SIGINT)
	if s := <-i.First(); s != syscall.SIGINT {
		t.Fatalf("got %v: the process ignores SIGHUP", s)
	}
	send(syscall.SIGINT) // the same one, on another way
	second := i.Second()
	for {
		select {
		case s := <-second:
			if s != syscall.SIGTERM {
				t.Errorf("got %v", s)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
		if len(i.c) == 0 {
			send(syscall.SIGTERM)
		}
	}
}
