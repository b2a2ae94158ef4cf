package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
)

// Between two events that say how far the WAL was looked through there are this many segments at least, and this part of all of it: a few hundred events for a TB.
const (
	noteSegments = 4
	noteShare    = 32
)

// errFound ends a scan that has found something: nothing that comes later changes that.
var errFound = errors.New("a reason not to stitch was found")

// scannedWindow is what a process before this one looked through, nil when that is nothing.
func scannedWindow(c *pipeline.SessionState) *postgres.WALWindow {
	v := c.Scanned
	if v == nil {
		return nil
	}
	return &postgres.WALWindow{LastRecord: postgres.LSN(v.Last), End: postgres.LSN(v.End), LastCRC: v.CRC, Timeline: c.Started.Timeline, Shutdowns: v.Shutdowns}
}

// startTail begins to look through the WAL since the session began, or goes on with a window.
func (f *Files) startTail(st pipeline.State, a messages.SessionStarted, from *postgres.WALWindow) {
	if f.tail != nil {
		f.tail.stop()
	}
	if from == nil {
		from = &postgres.WALWindow{Timeline: a.Timeline}
	}
	t := &walTail{base: a, tree: source.ControlTree(st.Prepared), size: st.Prepared.WALSegmentSize, window: from, noted: max(from.End, postgres.LSN(a.Redo)),
		changed: make(chan struct{}), done: make(chan struct{})}
	t.open = func(ctx context.Context) (source.Reader, error) { return f.cfg.Open(ctx, st) }
	t.note = func(ctx context.Context, v messages.WALScanned) error {
		err := f.cfg.Append(ctx, stageName, messages.EventWALScanned, v)
		if err != nil && ctx.Err() == nil {
			// The source keeps more WAL for now; the next one says it too.
			f.cfg.Logger.Warn("could not note how far the WAL was looked through", "error", err)
		}
		return err
	}
	t.ctx, t.stop = context.WithCancel(f.ctx)
	f.tail = t
	go t.scan()
	go t.follow(f.cfg.ConnectSQL, f.cfg.PingInterval)
}

func (t *walTail) scan() {
	defer close(t.done)
	start := postgres.LSN(t.base.Redo)
	if t.window.LastRecord != 0 {
		start = t.window.LastRecord
	}
	rd, err := postgres.NewWALReader(t, t.size, start, ^postgres.LSN(0))
	if err == nil {
		err = t.window.Scan(t.ctx, rd, t.step)
		_ = rd.Close()
	}
	t.mu.Lock()
	complete := t.end != 0 && len(t.window.Findings) == 0
	t.mu.Unlock()
	if reason := t.reason(err); reason != "" && !complete && t.ctx.Err() == nil {
		t.tell(reason)
	}
	t.set(func() {
		t.err, t.over = err, true
		if t.src != nil {
			_ = t.src.Close()
			t.src = nil
		}
	})
}

// step is called after each record.
func (t *walTail) step() error {
	w := t.window
	if len(w.Findings) > 0 {
		return errFound
	}
	if w.End-t.noted >= max(noteSegments*postgres.LSN(t.size), (w.End-postgres.LSN(t.base.Redo))/noteShare) {
		t.noted = w.End // also when it fails: the next try comes as much later
		t.tell("")
	}
	return nil
}

func (t *walTail) tell(reason string) {
	w := t.window
	_ = t.note(t.ctx, messages.WALScanned{Session: t.base.Session, Last: messages.LSN(w.LastRecord), End: messages.LSN(w.End), CRC: w.LastCRC, Shutdowns: w.Shutdowns,
		Reason: reason})
}

// reason is why the scan that ended so forbids to stitch.
func (t *walTail) reason(err error) string {
	switch {
	case len(t.window.Findings) > 0:
		return t.window.Findings[0].String()
	case errors.Is(err, postgres.ErrWALOther):
		return fmt.Sprintf("the server was set back to an earlier moment: %v", err)
	case err != nil:
		return fmt.Sprintf("the WAL since the first session began could not be read: %v", err)
	}
	return ""
}

// forbids returns why the WAL that was read so far forbids to stitch, "" when it does not.
func (t *walTail) forbids() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		return ""
	}
	return t.reason(t.err)
}

// halt ends reading and returns what was looked through.
func (t *walTail) halt(ctx context.Context) (*postgres.WALWindow, error) {
	t.stop()
	select {
	case <-t.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if t.window.LastRecord == 0 {
		return nil, nil
	}
	return t.window, nil
}

// finish ends the window and returns why it forbids to stitch, "" when it does not.
func (t *walTail) finish(ctx context.Context, end postgres.LSN) (reason string, err error) {
	t.set(func() { t.end, t.flushed = end, max(t.flushed, end) })
	if err := t.wait(ctx, func() bool { return t.over }); err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.window.Findings) > 0:
		return t.window.Findings[0].String(), nil
	case t.window.End < end:
		return fmt.Sprintf("the WAL could not be read up to its end %s: %v", end, t.err), nil
	}
	return "", nil
}
