package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"polarcast/messages"
)

// bufferSize is the capacity of pooled buffers: a chunk message of incompressible data, with headers.
const bufferSize = 2*messages.ChunkSize + 16<<10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, bufferSize); return &b }}

// PublisherOptions bounds a publisher.
type PublisherOptions struct {
	// MaxBytesInFlight bounds what is not confirmed, by capacity of buffers; 0 is 16 MiB. JetStream drops publishes when 128 MiB of one
	// stream are queued (error 10167), so the publishers of a backup together stay below that.
	MaxBytesInFlight int64
}

// Publisher publishes messages and sees to it that each is confirmed.
type Publisher struct {
	c      *Client
	prefix string
	stream string
	limit  int64

	mu       sync.Mutex
	room     sync.Cond
	inFlight int64
	count    int
	err      error
	waiting  atomic.Bool
	id       string
	n        atomic.Uint64
}

// ChunkPublisher publishes into the chunk stream of a backup.
func (c *Client) ChunkPublisher(backup string, o PublisherOptions) *Publisher {
	return c.publisher(chunkPrefix+backup+".", chunkStream+backup, o)
}

// IndexPublisher publishes into the index of a backup.
func (c *Client) IndexPublisher(backup string) *Publisher {
	return c.publisher(indexPrefix+backup+".", indexStream+backup, PublisherOptions{MaxBytesInFlight: 8 << 20})
}

func (c *Client) publisher(prefix, stream string, o PublisherOptions) *Publisher {
	if o.MaxBytesInFlight <= 0 {
		o.MaxBytesInFlight = 16 << 20
	}
	p := &Publisher{c: c, prefix: prefix, stream: stream, limit: o.MaxBytesInFlight, id: nuid.Next()}
	p.room.L = &p.mu
	return p
}

// Buffer returns an empty buffer that fits a chunk message. It goes back with Publish.
func (p *Publisher) Buffer() []byte { return (*buffers.Get().(*[]byte))[:0] }

// Release gives back a buffer that is not published.
func (p *Publisher) Release(b []byte) {
	if cap(b) == bufferSize {
		b = b[:0]
		buffers.Put(&b)
	}
}

// Publish sends one message and takes its buffer over. It blocks while too many bytes are not confirmed. A message that was not confirmed
// (a full stream, a lost connection, a change of leaders) is sent again under the same id until it is, or ctx ends. done is called once.
func (p *Publisher) Publish(ctx context.Context, subject Subject, buf []byte, done func(seq uint64, err error)) error {
	size := int64(cap(buf))
	if err := p.reserve(ctx, size); err != nil {
		p.Release(buf)
		return err
	}
	m := &outgoing{p: p, ctx: ctx, buf: buf, size: size, done: done}
	m.msg = &nats.Msg{Subject: p.prefix + string(subject), Data: buf,
		Header: nats.Header{jetstream.MsgIDHeader: []string{fmt.Sprintf("%s.%d", p.id, p.n.Add(1))}}}
	f, err := p.c.js.PublishMsgAsync(m.msg)
	if err != nil {
		go m.again(err)
		return nil
	}
	go m.wait(f)
	return nil
}

func (p *Publisher) reserve(ctx context.Context, n int64) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		p.room.Broadcast()
		p.mu.Unlock()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.err == nil && ctx.Err() == nil && p.inFlight > 0 && p.inFlight+n > p.limit {
		p.room.Wait()
	}
	if p.err != nil {
		return p.err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.inFlight += n
	p.count++
	return nil
}

// Flush returns when all messages are confirmed, or with the first error that will not go away.
func (p *Publisher) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		p.room.Broadcast()
		p.mu.Unlock()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.err == nil && ctx.Err() == nil && p.count > 0 {
		p.room.Wait()
	}
	if p.err != nil {
		return p.err
	}
	if p.count > 0 {
		return context.Cause(ctx)
	}
	return nil
}

// InFlight returns the bytes that are not confirmed.
func (p *Publisher) InFlight() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight
}

// Waiting reports whether a full stream holds publishing back.
func (p *Publisher) Waiting() bool { return p.waiting.Load() }

// outgoing is a message that is not confirmed.
type outgoing struct {
	p    *Publisher
	ctx  context.Context
	msg  *nats.Msg
	buf  []byte
	size int64
	done func(uint64, error)
}

func (m *outgoing) wait(f jetstream.PubAckFuture) {
	select {
	case ack := <-f.Ok():
		m.finish(ack.Sequence, nil)
	case err := <-f.Err():
		m.again(err)
	case <-m.ctx.Done():
		m.finish(0, context.Cause(m.ctx))
	}
}

// again sends the message until it is confirmed.
func (m *outgoing) again(err error) {
	delay := 2 * time.Millisecond
	for {
		full := isFull(err)
		if !full && !isPassing(err) {
			m.finish(0, m.p.permanent(err))
			return
		}
		m.p.waiting.Store(full)
		select {
		case <-time.After(delay):
		case <-m.ctx.Done():
			m.finish(0, context.Cause(m.ctx))
			return
		}
		delay = min(delay*2, 250*time.Millisecond)
		if full {
			delay = min(delay, 20*time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(m.ctx, publishAckWait)
		ack, e := m.p.c.js.PublishMsg(ctx, m.msg, jetstream.WithRetryAttempts(0))
		cancel()
		if e == nil {
			m.p.waiting.Store(false)
			m.finish(ack.Sequence, nil)
			return
		}
		if m.ctx.Err() != nil {
			m.finish(0, context.Cause(m.ctx))
			return
		}
		err = e
	}
}

func (m *outgoing) finish(seq uint64, err error) {
	if m.done != nil {
		m.done(seq, err)
	}
	p := m.p
	if err == nil {
		p.Release(m.buf)
	} // else the client may still hold it in its write buffer
	p.mu.Lock()
	p.inFlight -= m.size
	p.count--
	if err != nil && p.err == nil {
		p.err = err
	}
	p.room.Broadcast()
	p.mu.Unlock()
}

func (p *Publisher) permanent(err error) error {
	if errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("NATS does not allow this account to publish to %s>: give it permission for polarcast.>: %w", p.prefix, err)
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("stream %s is gone: it was removed while the backup ran; start the backup again: %w", p.stream, err)
	}
	return fmt.Errorf("could not publish to stream %s: %w", p.stream, err)
}

// isFull recognises the answers of a stream that has reached its limits, or whose queue has.
func isFull(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == 10077 || api.ErrorCode == 10167 || api.Code == 429
	}
	return errors.Is(err, jetstream.ErrTooManyStalledMsgs)
}

// isPassing recognises errors that go away by themselves.
func isPassing(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 503 || api.Code == 500
	}
	for _, e := range []error{nats.ErrDisconnected, nats.ErrTimeout, nats.ErrReconnectBufExceeded, nats.ErrConnectionReconnecting, nats.ErrNoResponders,
		jetstream.ErrAsyncPublishTimeout, jetstream.ErrNoStreamResponse, context.DeadlineExceeded, nats.ErrBadHeaderMsg} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
