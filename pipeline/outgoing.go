package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// outgoing is a message that is not confirmed.
type outgoing struct {
	p    *Publisher
	ctx  context.Context
	msg  *nats.Msg
	buf  []byte
	size int64
	done func(uint64, error)

	beside uint64 // the payload's number when it is kept beside the server, else 0
}

// abandon gives up a message that was not sent.
func (m *outgoing) abandon() {
	if m.beside != 0 {
		m.buf = m.p.c.beside.drop(m.beside)
	}
	m.p.Release(m.buf)
}

func (m *outgoing) wait(f jetstream.PubAckFuture) {
	select {
	case ack := <-f.Ok():
		m.finish(ack.Sequence, nil)
	case err := <-f.Err():
		m.p.gate.join()
		m.again(err)
	case <-m.ctx.Done():
		m.finish(0, context.Cause(m.ctx))
	case <-m.p.ctx.Done():
		m.finish(0, context.Cause(m.p.ctx))
	}
}

// again sends the message until it is confirmed, in turn with the others that were refused. err is why it was refused, nil when it was never
// sent. The id stays, so what JetStream has stored without our learning of it is not stored twice.
func (m *outgoing) again(err error) {
	p := m.p
	defer p.gate.part()
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	stop := context.AfterFunc(p.ctx, func() { cancel(context.Cause(p.ctx)) })
	defer stop()
	if err != nil {
		p.waiting.Store(isFull(err))
		p.gate.refuse(isFull(err))
	}
	var failing time.Time // since when, but for a full stream
	for {
		if err != nil {
			if perr := m.permanent(ctx, err, &failing); perr != nil {
				m.finish(0, perr)
				return
			}
		}
		if e := p.gate.enter(ctx); e != nil {
			m.finish(0, e)
			return
		}
		rctx, release := p.c.request(ctx)
		tctx, done := context.WithTimeout(rctx, publishAckWait)
		ack, e := p.c.js.PublishMsg(tctx, m.msg, jetstream.WithRetryAttempts(0))
		e = cause(rctx, e)
		done()
		release()
		p.gate.leave(e == nil, isFull(e))
		if e == nil {
			p.waiting.Store(false)
			m.finish(ack.Sequence, nil)
			return
		}
		if ctx.Err() != nil {
			m.finish(0, context.Cause(ctx))
			return
		}
		p.waiting.Store(isFull(e))
		err = e
	}
}

// permanent returns an error when trying again is useless.
func (m *outgoing) permanent(ctx context.Context, err error, failing *time.Time) error {
	p := m.p
	if isFull(err) {
		*failing = time.Time{}
		return nil
	}
	if !isPassing(err) {
		return fmt.Errorf("could not publish to %s of stream %s at %s: %w", m.msg.Subject, p.stream, p.c.where, err)
	}
	if d := p.c.server.storeError(); d != nil {
		return fmt.Errorf("the store of the embedded JetStream server failed: %w: make room on its file system and start the backup again", d)
	}
	if failing.IsZero() {
		*failing = time.Now()
	}
	// Nobody answers for the subject: the stream has no leader for a moment, or it is gone.
	if errors.Is(err, jetstream.ErrNoStreamResponse) || time.Since(*failing) > publishAckWait {
		sctx, cancel := context.WithTimeout(ctx, apiWait)
		defer cancel()
		if _, e := p.c.js.Stream(sctx, p.stream); isGone(e) {
			return fmt.Errorf("stream %s at %s was removed while the backup ran: %w: start the backup again", p.stream, p.c.where, ErrNoStream)
		}
	}
	return nil
}

func (m *outgoing) finish(seq uint64, err error) {
	p := m.p
	if m.done != nil {
		m.done(seq, err)
	}
	switch {
	case m.beside != 0 && err != nil:
		p.c.beside.drop(m.beside) // and leave it to the collector: the consumer may have it all the same
	case err == nil:
		p.Release(m.buf) // else a try that is still under way may read it
	}
	p.mu.Lock()
	p.inFlight -= m.size
	p.count--
	if err != nil && p.err == nil {
		p.err = err
	}
	p.room.Broadcast()
	p.mu.Unlock()
}
