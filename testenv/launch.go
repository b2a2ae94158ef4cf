package testenv

import (
	"os/exec"
	"runtime"
	"sync"
)

type launch struct {
	cmd  *exec.Cmd
	done chan error
}

// starter starts processes from one thread that lives as long as the test binary. The kernel sends a child its parent-death signal when the
// thread that made it ends, and threads of goroutines that were locked to them do end.
var starter = sync.OnceValue(func() chan launch {
	requests := make(chan launch)
	go func() {
		runtime.LockOSThread()
		for l := range requests {
			l.done <- l.cmd.Start()
		}
	}()
	return requests
})

// startCommand is cmd.Start for commands with sysProcAttr.
func startCommand(cmd *exec.Cmd) error {
	l := launch{cmd: cmd, done: make(chan error, 1)}
	starter() <- l
	return <-l.done
}
