package pfs

import "time"

// stallRepeat is how often a stall that goes on is told again.
const stallRepeat = 30 * time.Second

// watch reports calls that hang, as long as the disk is mounted. A call hangs for ever while pfsd is down; nothing can cancel it, and it
// goes on without an error when pfsd is back.
func (d *disk) watch() {
	tick := time.NewTicker(min(max(d.opts.StallAfter/5, time.Millisecond), time.Second))
	defer tick.Stop()
	var stalled *call         // the oldest of the calls that hang
	var since, told time.Time // when the stall began, and when it was last told
	for {
		var now time.Time
		select {
		case <-d.gone:
			return
		case now = <-tick.C:
		}
		c := d.oldest()
		if c != nil && now.Sub(c.start) < d.opts.StallAfter {
			c = nil
		}
		if c == nil && stalled != nil {
			d.log.Info("pfsd answers again", "after", now.Sub(since).Round(time.Millisecond))
		}
		if c != nil && stalled == nil {
			since = c.start
		} else if c == nil || now.Sub(told) < stallRepeat {
			stalled = c
			continue
		}
		stalled, told = c, now
		state := "pfsd runs, but is stuck or overloaded"
		if running, why := pfsdRuns(d.opts.RunDir, d.opts.Disk); !running {
			state = "pfsd is down (" + why + "): start it again; do not delete files in /dev/shm/pfsd"
		}
		d.log.Warn("pfsd does not answer; the call goes on when it is back", "call", c.op, "path", c.path,
			"waiting", now.Sub(c.start).Round(time.Millisecond), "state", state)
	}
}

func (d *disk) oldest() *call {
	d.mu.Lock()
	defer d.mu.Unlock()
	var first *call
	for c := range d.running {
		if first == nil || c.start.Before(first.start) {
			first = c
		}
	}
	return first
}

// Hung returns a channel that is closed as soon as a call of this process has waited for pfsd as long as the watchdog allows (StallAfter). Whoever wants
// to end the process needs it: nothing that waits for such a call ends before pfsd is back.
func Hung() <-chan struct{} {
	hung := make(chan struct{})
	go func() {
		for !hangs() {
			time.Sleep(100 * time.Millisecond)
		}
		close(hung)
	}()
	return hung
}

func hangs() bool {
	process.Lock()
	d := process.disk
	process.Unlock()
	if d == nil {
		return false
	}
	c := d.oldest()
	return c != nil && time.Since(c.start) >= d.opts.StallAfter
}
