package pipeline

import (
	"context"
	"sync"
	"time"
)

// gate lets refused messages through again: one at first, and twice as many after each that got through, so that a full stream is not
// flooded with what it refuses, and a stream that has room again is filled at once.
type gate struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when somebody leaves
	slots   int           // how many may try at the same time
	busy    int
	queued  int // who waits or tries
	after   time.Time
	delay   time.Duration
}

const (
	gateSlots    = 32
	gateDelayMin = 2 * time.Millisecond
	gateDelayMax = 500 * time.Millisecond
	// A full stream is looked at often: a target that acknowledges makes room for megabytes within milliseconds.
	gateDelayFull = 20 * time.Millisecond
)

// closed reports whether messages are waiting to be sent again; a new one must not overtake them only to be refused.
func (g *gate) closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queued > 0
}

func (g *gate) join() {
	g.mu.Lock()
	g.queued++
	g.mu.Unlock()
}

func (g *gate) part() {
	g.mu.Lock()
	g.queued--
	g.mu.Unlock()
}

// enter waits for a turn to try.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		wait := time.Until(g.after)
		if g.busy < max(g.slots, 1) && wait <= 0 {
			g.busy++
			g.mu.Unlock()
			return nil
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		changed := g.changed
		g.mu.Unlock()
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-timer:
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave says how the try went.
func (g *gate) leave(ok, full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	switch {
	case ok:
		g.slots, g.delay, g.after = min(max(g.slots, 1)*2, gateSlots), 0, time.Time{}
	default:
		g.shut(full)
	}
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// refuse is leave for a message that was not sent through the gate.
func (g *gate) refuse(full bool) {
	g.mu.Lock()
	g.shut(full)
	g.mu.Unlock()
}

func (g *gate) shut(full bool) {
	g.slots = 1
	if time.Now().Before(g.after) {
		return // one of several that were refused together
	}
	limit := gateDelayMax
	if full {
		limit = gateDelayFull
	}
	g.delay = min(max(g.delay*2, gateDelayMin), limit)
	g.after = time.Now().Add(g.delay)
}
