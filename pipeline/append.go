package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
)

// Append adds an event, whatever came before it.
func (l *Log) Append(ctx context.Context, stage, instance string, ev messages.Event) error {
	return l.AppendIf(ctx, stage, instance, ev, nil)
}

// AppendIf adds an event if check accepts the state that it follows; its error is returned, ErrSkip as nil. Two writers can never both add
// what only one may: JetStream takes an event only behind the one that its writer has seen, and the loser checks again. An event that the
// fold would refuse is refused here, so that it never gets into the log.
//
// With a context of Lease.Context the event carries the lease's fence, and is ErrFenced when a later leader has written already.
func (l *Log) AppendIf(ctx context.Context, stage, instance string, ev messages.Event, check func(State) error) error {
	ev.Backup, ev.Stage, ev.Instance = l.backup, stage, instance
	if ev.Fence == 0 {
		ev.Fence = fenceOf(ctx)
	}
	for {
		st, err := l.State(ctx)
		if err != nil {
			return err
		}
		if err := l.removed(st); err != nil && ev.Type != messages.EventRequested {
			return fmt.Errorf("could not add event %q: %w", ev.Type, err)
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
		if _, err := Fold(st, st.Seq+1, ev); err != nil {
			return fmt.Errorf("could not add event %q to the log of backup %q: %w", ev.Type, l.backup, err)
		}
		b, err := json.Marshal(ev)
		if err != nil {
			return fmt.Errorf("event %q: %w", ev.Type, err)
		}
		seq, err := l.publish(ctx, b, st.Seq)
		if err == nil {
			_, err = l.until(ctx, func(s State) (bool, error) { return s.Seq >= seq, nil })
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !isConflict(err) {
			return fmt.Errorf("could not add event %q to the log of backup %q: %w", ev.Type, l.backup, l.c.streamError(eventStream, err))
		}
	}
}

// publish adds one event behind another one, over lost connections: it returns when it is known whether the event is in the log.
func (l *Log) publish(ctx context.Context, b []byte, behind uint64) (uint64, error) {
	uncertain := false
	for {
		rctx, cancel := l.c.request(ctx)
		pctx, done := l.c.guard(rctx, l.subject)
		ack, err := l.c.js.Publish(pctx, l.subject, b, jetstream.WithExpectLastSequencePerSubject(behind), jetstream.WithRetryAttempts(0))
		err = cause(pctx, err)
		done()
		cancel()
		switch {
		case err == nil:
			return ack.Sequence, nil
		case ctx.Err() != nil:
			return 0, err
		case isConflict(err) && uncertain:
			// Was it our own event, whose confirmation was lost?
			if seq, e := l.find(ctx, b, behind); e != nil || seq != 0 {
				return seq, e
			}
			return 0, err
		case isConflict(err), !isPassing(err):
			return 0, err
		}
		uncertain = true
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			sctx, cancel := l.c.request(ctx)
			_, e := l.c.js.Stream(sctx, eventStream)
			cancel()
			if isGone(e) {
				return 0, e
			}
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// find returns the position of an event, 0 when it is not in the log. No two events are equal: they carry an instance and a time.
func (l *Log) find(ctx context.Context, b []byte, behind uint64) (uint64, error) {
	var found uint64
	_, err := l.c.read(ctx, eventStream, []string{l.subject}, behind+1, false, func(seq uint64, _ string, data []byte) error {
		if bytes.Equal(data, b) {
			found = seq
		}
		return nil
	})
	return found, err
}
