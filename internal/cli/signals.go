package cli

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameInterrupt is how long signals after a first one are taken for the same one: timeout(1) sends it to the process and to its group, and both a terminal
// and the program that started this one may pass on Ctrl-C.
const sameInterrupt = time.Second

// Interrupts are the signals that ask the process to end.
type Interrupts struct{ c chan os.Signal }

// CatchInterrupts takes SIGINT, SIGTERM and SIGHUP, but for those that the process was started to ignore, as by nohup.
func CatchInterrupts() *Interrupts {
	i := &Interrupts{c: make(chan os.Signal, 4)}
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(i.c, s)
		}
	}
	return i
}

// First delivers the signals. One is to be taken from it; what comes after is for Second.
func (i *Interrupts) First() <-chan os.Signal { return i.c }

// Second delivers a further signal from somebody who has seen that the first one was not enough. To be called once, after the first one.
func (i *Interrupts) Second() <-chan os.Signal {
	second := make(chan os.Signal, 1)
	go func() {
		time.Sleep(sameInterrupt)
		for len(i.c) > 0 {
			<-i.c
		}
		second <- <-i.c
	}()
	return second
}

// Stop gives the signals back to their default.
func (i *Interrupts) Stop() { signal.Stop(i.c) }
