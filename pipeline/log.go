package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"polarcast/messages"
)

// ErrRemoved ends the watch of a backup that was removed.
var ErrRemoved = errors.New("the backup was removed")

// Log is the event log of one backup. One watch keeps its fold up to date for the whole process.
type Log struct {
	c       *Client
	backup  string
	subject string
	once    sync.Once
	ctx     context.Context
	stop    context.CancelCauseFunc

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the state changes
	pos     uint64        // of the last event that was folded
	state   State
	known   bool // the backup was there: an empty log from then on means that it was removed
	err     error
}

// Log returns the event log of a backup.
func (c *Client) Log(backup string) *Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.logs[backup]
	if l == nil {
		l = &Log{c: c, backup: backup, subject: eventPrefix + backup, changed: make(chan struct{}), state: emptyState(backup)}
		l.ctx, l.stop = context.WithCancelCause(c.ctx)
		c.logs[backup] = l
	}
	return l
}

func emptyState(backup string) State { return State{Backup: backup, Targets: map[string]TargetState{}} }

func (l *Log) close(why error) {
	l.stop(why)
	l.set(func() { l.err = why })
}

// watch folds events as they come.
func (l *Log) watch() {
	l.once.Do(func() {
		go func() {
			l.mu.Lock()
			from := l.pos + 1
			l.mu.Unlock()
			_, err := l.c.read(l.ctx, eventStream, []string{l.subject}, from, true, func(seq uint64, _ string, data []byte) error {
				return l.fold(seq, data)
			})
			l.set(func() {
				if l.err == nil {
					l.err = fmt.Errorf("event log of backup %q: %w", l.backup, err)
				}
			})
		}()
	})
}

func (l *Log) fold(seq uint64, data []byte) error {
	ev, err := messages.ParseEvent(data)
	if err != nil {
		return fmt.Errorf("event %d: %w", seq, err)
	}
	var ferr error
	l.set(func() {
		var s State
		if s, ferr = Fold(l.state, seq, ev); ferr == nil {
			l.state, l.pos, l.known = s, seq, l.known || s.Requested != nil
		}
	})
	return ferr
}

func (l *Log) set(fn func()) {
	l.mu.Lock()
	fn()
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
}

func (l *Log) now() (State, chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed, l.err
}

// last returns the position of the backup's newest event, 0 when there is none.
func (l *Log) last(ctx context.Context) (uint64, error) {
	rctx, cancel := l.c.request(ctx)
	defer cancel()
	seq, err := l.c.position(rctx, eventStream, map[string]any{"last_by_subj": l.subject})
	if isGone(err) && !l.wasThere() {
		return 0, nil
	}
	if err != nil {
		return 0, cause(rctx, err)
	}
	return seq, nil
}

func (l *Log) wasThere() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known
}

// removed is an error when the state is empty although the backup was there: who works on it must end, and not take it for one that is to come.
func (l *Log) removed(s State) error {
	if s.Requested != nil || !l.wasThere() {
		return nil
	}
	return fmt.Errorf("the event log of backup %q is empty: %w", l.backup, ErrRemoved)
}

// State returns the fold of all events that were in the log when it was called. It waits while JetStream cannot be reached.
func (l *Log) State(ctx context.Context) (State, error) {
	for {
		last, err := l.last(ctx)
		if err == nil {
			return l.at(ctx, last)
		}
		if ctx.Err() != nil {
			return State{}, context.Cause(ctx)
		}
		if !isPassing(err) && !errors.Is(err, nats.ErrConnectionClosed) || l.ctx.Err() != nil || errors.Is(err, ErrDenied) {
			return State{}, l.c.streamError(eventStream, err)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return State{}, err
		}
	}
}

// at returns the state of a log whose last event has this position.
func (l *Log) at(ctx context.Context, last uint64) (State, error) {
	if last == 0 {
		s, _, err := l.now()
		if s.Seq != 0 { // another process has removed the backup; one with the same name may follow
			s = emptyState(l.backup)
			l.set(func() { l.state = s })
		}
		return s, err
	}
	return l.until(ctx, func(s State) (bool, error) { return s.Seq >= last, nil })
}

// Wait returns when cond is met, or with its error. cond is called with the newest state each time that there is one. A backup that was there and is
// removed while cond waits is ErrRemoved.
func (l *Log) Wait(ctx context.Context, cond func(State) (bool, error)) (State, error) {
	if _, err := l.State(ctx); err != nil {
		return State{}, err
	}
	return l.until(ctx, func(s State) (bool, error) {
		if err := l.removed(s); err != nil {
			return false, err
		}
		return cond(s)
	})
}

func (l *Log) until(ctx context.Context, cond func(State) (bool, error)) (State, error) {
	l.watch()
	for {
		s, changed, err := l.now()
		if err != nil {
			return s, err
		}
		ok, err := cond(s)
		if ok || err != nil {
			return s, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
}

// Events calls fn for every event from a position of the event stream on; with follow it goes on with those that come.
func (l *Log) Events(ctx context.Context, from uint64, follow bool, fn func(seq uint64, ev messages.Event) error) error {
	_, err := l.c.read(ctx, eventStream, []string{l.subject}, from, follow, func(seq uint64, _ string, data []byte) error {
		ev, err := messages.ParseEvent(data)
		if err != nil {
			return fmt.Errorf("event %d of backup %q: %w", seq, l.backup, err)
		}
		return fn(seq, ev)
	})
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
