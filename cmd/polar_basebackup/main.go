// Command polar_basebackup takes a base backup of a running PolarDB or PostgreSQL server. It takes the place of polar_basebackup and
// pg_basebackup, and continues a backup that was interrupted.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"polarcast/internal/cli"
	"polarcast/internal/cli/basebackup"
	"polarcast/internal/dropin"
	"polarcast/pfs"
)

func main() {
	o, err, done := basebackup.Start(os.Args, os.Stdout, os.Stderr)
	switch {
	case err != nil:
		if err := dropin.ReportRefusal(o.Report, err); err != nil {
			cli.NewMessages(os.Stderr, o.Argv0, false).Fail(err)
		}
		os.Exit(1)
	case done:
		os.Exit(0)
	}
	os.Exit(run(o))
}

// errInterrupted is the end by SIGINT, SIGTERM or SIGHUP.
var errInterrupted = errors.New("interrupted")

// garbagePercent is how much garbage may pile up, as a percentage of what the program holds: little, since nearly all that it holds are buffers that
// it uses again. A fixed limit would be cheaper until a database has so many files that what is held comes near it, and then cost half of the
// processor. GOGC overrides it.
const garbagePercent = 25

func run(o *basebackup.Options) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	ui := newUI(o)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	sig := cli.CatchInterrupts()
	var first atomic.Int32
	go func() {
		s := (<-sig.First()).(syscall.Signal)
		first.Store(int32(s))
		cancel(errInterrupted)
		select { // the program ends at once then: the next run goes on, or cleans up
		case again := <-sig.Second():
			s = again.(syscall.Signal)
		case <-pfs.Hung():
			ui.Failed(pfs.ErrHung)
		}
		die(s)
	}()
	opts, err := options(o, ui)
	if err == nil {
		err = dropin.Run(ctx, opts)
	} else {
		err = errors.Join(err, dropin.ReportRefusal(o.Report, err))
	}
	if told := new(dropin.Told); err != nil && !errors.As(err, told) {
		ui.Failed(err)
	}
	if s := syscall.Signal(first.Load()); s != 0 && err != nil {
		die(s)
	}
	if err != nil {
		return 1
	}
	return 0
}

// die ends the process by a signal, as the original ends: a shell sees 128 and its number, and a script that it runs in is interrupted too.
func die(s syscall.Signal) {
	signal.Reset(s)
	_ = syscall.Kill(os.Getpid(), s)
	time.Sleep(time.Second) // it comes before
	os.Exit(128 + int(s))
}
