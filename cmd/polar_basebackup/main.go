// Command polar_basebackup takes a base backup of a running PolarDB or PostgreSQL server. It takes the place of polar_basebackup and
// pg_basebackup, and continues a backup that was interrupted.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"polarcast/internal/cli/basebackup"
	"polarcast/internal/dropin"
)

func main() {
	o, code, done := basebackup.Start(os.Args, os.Stdout, os.Stderr)
	if done {
		os.Exit(code)
	}
	os.Exit(run(o))
}

// errInterrupted is the end by SIGINT, SIGTERM or SIGHUP.
var errInterrupted = errors.New("interrupted")

// memoryGoal is when the garbage collector stops to let garbage pile up, in bytes. What the program holds is bounded well below it by the
// publishers' and consumers' bounds, whatever the size of the database. GOMEMLIMIT overrides it.
const memoryGoal = 96 << 20

func run(o *basebackup.Options) int {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryGoal)
	}
	ui := newUI(o)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	sig := make(chan os.Signal, 2)
	signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-sig
		cancel(errInterrupted)
		<-sig // a second one ends the program at once: the next run cleans up
		os.Exit(130)
	}()
	opts, err := options(o, ui)
	if err == nil {
		err = dropin.Run(ctx, opts)
	}
	if told := new(dropin.Told); err != nil && !errors.As(err, told) {
		ui.Failed(err)
	}
	if err != nil {
		return 1
	}
	return 0
}
