package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
)

// Log is the event log of one backup. One watch keeps its fold up to date for the whole process.
type Log struct {
	c       *Client
	backup  string
	subject string

	once sync.Once
	stop context.CancelFunc

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the state changes
	state   State
	err     error
}

// Log returns the event log of a backup.
func (c *Client) Log(backup string) *Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.logs[backup]
	if l == nil {
		l = &Log{c: c, backup: backup, subject: eventPrefix + backup, changed: make(chan struct{}), state: State{Backup: backup}}
		c.logs[backup] = l
	}
	return l
}

func (l *Log) close() {
	l.once.Do(func() {})
	if l.stop != nil {
		l.stop()
	}
}

// watch folds events as they come, over reconnects.
func (l *Log) watch() {
	l.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		l.stop = cancel
		go func() {
			for ctx.Err() == nil {
				l.mu.Lock()
				from := l.state.Seq + 1
				l.mu.Unlock()
				err := l.c.read(ctx, eventStream, []string{l.subject}, from, true, func(seq uint64, _ string, data []byte) error {
					return l.fold(seq, data)
				})
				if err != nil && ctx.Err() == nil {
					if !isPassing(err) {
						l.set(func() { l.err = fmt.Errorf("event log of backup %q: %w", l.backup, err) })
						return
					}
					time.Sleep(200 * time.Millisecond)
				}
			}
		}()
	})
}

func (l *Log) fold(seq uint64, data []byte) error {
	ev, err := messages.ParseEvent(data)
	if err != nil {
		return err
	}
	var ferr error
	l.set(func() {
		if seq <= l.state.Seq {
			return
		}
		var s State
		if s, ferr = Fold(l.state, seq, ev); ferr == nil {
			l.state = s
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
	s, err := l.c.js.Stream(ctx, eventStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, l.c.streamError(eventStream, err)
	}
	m, err := s.GetLastMsgForSubject(ctx, l.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, l.c.streamError(eventStream, err)
	}
	return m.Sequence, nil
}

// State returns the fold of all events that were in the log when it was called.
func (l *Log) State(ctx context.Context) (State, error) {
	last, err := l.last(ctx)
	if err != nil {
		return State{}, err
	}
	if last == 0 {
		return State{Backup: l.backup, Targets: map[string]TargetState{}}, nil
	}
	return l.until(ctx, func(s State) (bool, error) { return s.Seq >= last, nil })
}

// Wait returns when cond is met, or with its error. cond is called with every state, one after the other.
func (l *Log) Wait(ctx context.Context, cond func(State) (bool, error)) (State, error) {
	if _, err := l.State(ctx); err != nil {
		return State{}, err
	}
	return l.until(ctx, cond)
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

// Append adds an event, whatever came before it.
func (l *Log) Append(ctx context.Context, stage, instance string, ev messages.Event) error {
	return l.AppendIf(ctx, stage, instance, ev, nil)
}

// AppendIf adds an event if check accepts the state that it follows. Two writers can never both add what only one may: JetStream takes an
// event only at the position that its writer has seen, and the loser checks again.
func (l *Log) AppendIf(ctx context.Context, stage, instance string, ev messages.Event, check func(State) error) error {
	ev.Backup, ev.Stage, ev.Instance = l.backup, stage, instance
	for {
		st, err := l.State(ctx)
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(st); err != nil {
				if errors.Is(err, ErrSkip) {
					return nil
				}
				return err
			}
		}
		ev.Time = time.Now().UTC()
		b, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		ack, err := l.c.js.Publish(ctx, l.subject, b, jetstream.WithExpectLastSequencePerSubject(st.Seq), jetstream.WithRetryAttempts(3))
		if err == nil {
			_, err := l.until(ctx, func(s State) (bool, error) { return s.Seq >= ack.Sequence, nil })
			return err
		}
		var api *jetstream.APIError
		conflict := errors.As(err, &api) && (api.ErrorCode == 10071 || api.ErrorCode == 10164)
		if !conflict && !isPassing(err) {
			return fmt.Errorf("could not add event %q to the log of backup %q: %w", ev.Type, l.backup, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Events calls fn for every event from a position of the event stream on; with follow it goes on with those that come.
func (l *Log) Events(ctx context.Context, from uint64, follow bool, fn func(seq uint64, ev messages.Event) error) error {
	return l.c.read(ctx, eventStream, []string{l.subject}, from, follow, func(seq uint64, _ string, data []byte) error {
		ev, err := messages.ParseEvent(data)
		if err != nil {
			return err
		}
		return fn(seq, ev)
	})
}
