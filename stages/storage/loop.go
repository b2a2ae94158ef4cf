package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// loop takes messages, applies them, and commits batches beside.
type loop struct {
	s      *Stage
	layout *target.Layout
	sink   Sink
	cons   *pipeline.Consumer
	index  *pipeline.Publisher

	session uint32  // the last one that was seen: the layout knows its tablespaces
	fences  []fence // where sessions began in the chunk stream, as far as they are known

	in      chan *pipeline.Message
	commits chan *Batch
	fail    context.CancelCauseFunc
	done    chan struct{} // the committer has ended

	written   atomic.Int64 // bytes that are durable
	files     atomic.Int64
	lsn       atomic.Uint64 // end of the WAL that was applied
	active    atomic.Int64  // when the last message came, in nanoseconds
	throttled atomic.Bool
}

func newLoop(s *Stage, layout *target.Layout, sink Sink, cons *pipeline.Consumer) *loop {
	return &loop{s: s, layout: layout, sink: sink, cons: cons, index: s.cfg.Client.IndexPublisher(s.cfg.Backup),
		in: make(chan *pipeline.Message), commits: make(chan *Batch), done: make(chan struct{})}
}

func (l *loop) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.fail = cancel
	go l.pull(ctx)
	go l.committer(ctx)
	err := l.apply(ctx)
	close(l.commits)
	<-l.done
	if c := context.Cause(ctx); c != nil {
		err = c
	}
	return err
}

// pull moves messages from the consumer to apply, so that apply can wait for a message and for time to pass at once.
func (l *loop) pull(ctx context.Context) {
	for {
		m, err := l.cons.Next(ctx)
		if err != nil {
			l.fail(err)
			return
		}
		select {
		case l.in <- m:
		case <-ctx.Done():
			return
		}
	}
}

func (l *loop) apply(ctx context.Context) error {
	b := newBatch()
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	for {
		select {
		case m := <-l.in:
			if b.empty() {
				b.started = time.Now()
			}
			l.active.Store(time.Now().UnixNano())
			if err := l.throttle(ctx, len(m.Data())); err != nil {
				return l.stop(err)
			}
			if err := l.message(ctx, b, m); err != nil {
				return l.stop(err)
			}
			if !b.full(l.s.cfg.MaxBytesInFlight) {
				idle.Reset(idleCommit)
				continue
			}
		case <-idle.C:
			if b.empty() {
				continue
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case l.commits <- b:
			b = newBatch()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// throttle holds a message back as the target's rate limit says.
func (l *loop) throttle(ctx context.Context, bytes int) error {
	if l.s.cfg.Throttle == nil {
		return nil
	}
	l.throttled.Store(true)
	defer l.throttled.Store(false)
	return l.s.cfg.Throttle(ctx, bytes)
}

func (l *loop) stop(err error) error {
	l.fail(err)
	return err
}

// message applies all records of one message.
func (l *loop) message(ctx context.Context, b *Batch, m *pipeline.Message) error {
	rd := messages.NewReader(m.Data())
	var r messages.Record
	for {
		if err := rd.Next(&r); err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return fmt.Errorf("message %d of backup %q is damaged: %w", m.Seq(), l.s.cfg.Backup, err)
		}
		if r.Session > l.session {
			if err := l.newSession(ctx, r.Session); err != nil {
				return err
			}
		}
		if l.late(&r, m.Seq()) {
			continue
		}
		if err := l.sink.Apply(b, &r); err != nil {
			return err
		}
		l.note(&r)
	}
	m.Applied()
	b.msgs = append(b.msgs, m)
	b.held += int64(m.Held())
	return nil
}

// newSession looks whether the target takes a further session, and learns its tablespaces before its first record is written: there may be others
// than the last one had. A target that was proven complete must stay as it is: the session is for others.
func (l *loop) newSession(ctx context.Context, n uint32) error {
	st, err := l.s.cfg.Log().State(ctx)
	if err != nil {
		return err
	}
	if st.Targets[l.s.cfg.Target.Name].Written != nil {
		return errWritten
	}
	added := false
	l.learn(st)
	for _, s := range st.Sessions {
		if s.Started.Session > l.session && l.layout.AddSpaces(s.Started.Tablespaces) {
			added = true
		}
	}
	l.session = n
	if dir := l.s.cfg.Target.Dir; !added || dir == "" || dir == "-" {
		return nil
	}
	return l.layout.Open(ctx, l.s.cfg.Env)
}

// committer makes batches durable, one after the other.
func (l *loop) committer(ctx context.Context) {
	defer close(l.done)
	for b := range l.commits {
		if err := l.commit(ctx, b); err != nil {
			l.fail(err)
			for range l.commits {
				continue
			}
			return
		}
	}
}

func (l *loop) commit(ctx context.Context, b *Batch) error {
	if err := l.sink.Commit(ctx, b); err != nil {
		return err
	}
	if err := PublishReceipts(ctx, l.index, l.s.cfg.Target.Name, b.receipts); err != nil {
		return err
	}
	for _, m := range b.msgs {
		if err := m.Ack(); err != nil {
			return err
		}
	}
	l.written.Add(b.bytes)
	return nil
}
