package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"polarcast/pfs"
)

// errStopped says that this process stood still (SIGSTOP, a frozen group) for so long that JetStream may have given what it holds to another process, and a
// later session may have put other bytes there.
var errStopped = errors.New("this process was stopped for so long that another one may have written what it holds")

const (
	pulseBeat = 500 * time.Millisecond
	// pulseLost is shorter than what is left of the time that JetStream waits for a message (10 s) after the last sign of life (3 s apart at most).
	pulseLost = 6 * time.Second
)

// pulse notices that the process stood still. It is asked right before each write.
type pulse struct {
	now  func() time.Duration
	last atomic.Int64
	lost atomic.Bool
}

var epoch = time.Now()

// newPulse beats until ctx ends.
func newPulse(ctx context.Context) *pulse {
	p := &pulse{now: func() time.Duration { return time.Since(epoch) }}
	p.last.Store(int64(p.now()))
	go func() {
		t := time.NewTicker(pulseBeat)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				p.beat()
			case <-ctx.Done():
				return
			}
		}
	}()
	return p
}

func (p *pulse) beat() {
	now := p.now()
	if now-time.Duration(p.last.Load()) > pulseLost {
		p.lost.Store(true)
	}
	p.last.Store(int64(now))
}

// alive returns errStopped from then on when the process stood still.
func (p *pulse) alive() error {
	if p == nil {
		return nil
	}
	// The time first: a beat that comes between the two leaves a mark.
	if late := p.now()-time.Duration(p.last.Load()) > pulseLost; late || p.lost.Load() {
		p.lost.Store(true)
		return errStopped
	}
	return nil
}

// guardedFile writes only while the process did not stand still.
type guardedFile struct {
	pfs.File
	p *pulse
}

func (f guardedFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.p.alive(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f guardedFile) Truncate(size int64) error {
	if err := f.p.alive(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f guardedFile) Allocate(off, n int64) error {
	if err := f.p.alive(); err != nil {
		return err
	}
	return f.File.Allocate(off, n)
}
