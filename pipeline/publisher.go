package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// PublisherOptions bounds a publisher.
type PublisherOptions struct {
	// MaxBytesInFlight bounds what is not confirmed, by capacity of buffers; 0 is 16 MiB. JetStream drops publishes when 128 MiB of one
	// stream are queued (error 10167); what is dropped is sent again, but the publishers of a backup together should stay below that.
	MaxBytesInFlight int64
}

// Publisher publishes messages and sees to it that each is confirmed. Any number of goroutines may use it.
type Publisher struct {
	c      *Client
	prefix string
	stream string
	limit  int64
	id     string // of this publisher, the first half of the ids that JetStream tells duplicates by
	gate   gate
	ctx    context.Context // ends when the server refuses the subject, or the client is closed

	mu       sync.Mutex
	room     sync.Cond
	inFlight int64
	count    int
	err      error
	waiting  atomic.Bool
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
	p := &Publisher{c: c, prefix: prefix, stream: stream, limit: o.MaxBytesInFlight, id: nuid.Next() + "."}
	p.room.L = &p.mu
	p.ctx, _ = c.guard(context.Background(), prefix) // for as long as the client
	return p
}

// Publish sends one message and takes its buffer over. It blocks while too many bytes are not confirmed. A message that was not confirmed
// (a full stream, a lost connection, a change of leaders) is sent again under the same id until it is, ctx ends, or it is clear that it never
// will be: the stream is gone, the account lacks permission, the message is too large. done is called once, from another goroutine. The
// order in which messages are stored may differ from that of publishing as soon as one was sent again.
func (p *Publisher) Publish(ctx context.Context, subject Subject, buf []byte, done func(seq uint64, err error)) error {
	if limit := p.c.nc.MaxPayload(); limit > 0 && int64(len(buf))+headerRoom > limit {
		return fmt.Errorf("a message of %d bytes for %s%s is larger than NATS at %s takes (%d): raise max_payload in the server's configuration",
			len(buf), p.prefix, subject, p.c.where, limit)
	}
	m := &outgoing{p: p, ctx: ctx, buf: buf, size: int64(cap(buf)), done: done}
	data := buf
	if p.c.beside != nil && subject == SubjectData {
		var err error
		if m.beside, data, err = p.c.beside.put(ctx, buf); err != nil {
			return err
		}
		m.buf, m.size = nil, int64(len(data))
	}
	if err := p.reserve(ctx, m.size); err != nil {
		m.abandon()
		return err
	}
	m.msg = &nats.Msg{Subject: p.prefix + string(subject), Data: data,
		Header: nats.Header{jetstream.MsgIDHeader: []string{p.id + strconv.FormatUint(p.n.Add(1), 10)}}}
	if p.gate.closed() {
		p.gate.join()
		go m.again(nil)
		return nil
	}
	f, err := p.c.js.PublishMsgAsync(m.msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		p.gate.join()
		go m.again(err)
		return nil
	}
	go m.wait(f)
	return nil
}

// headerRoom is what the header of a message takes of the payload limit, in bytes, with much to spare.
const headerRoom = 256

func (p *Publisher) reserve(ctx context.Context, n int64) error {
	return p.until(ctx, func() bool { return p.inFlight == 0 || p.inFlight+n <= p.limit }, func() {
		p.inFlight += n
		p.count++
	})
}

// Flush returns when all messages are confirmed, or with the first error that will not go away.
func (p *Publisher) Flush(ctx context.Context) error {
	return p.until(ctx, func() bool { return p.count == 0 }, func() {})
}

// until waits for cond and does then, both under the lock.
func (p *Publisher) until(ctx context.Context, cond func() bool, then func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && ctx.Err() == nil && !cond() {
		stop := context.AfterFunc(ctx, func() {
			p.mu.Lock()
			p.room.Broadcast()
			p.mu.Unlock()
		})
		defer stop()
		for p.err == nil && ctx.Err() == nil && !cond() {
			p.room.Wait()
		}
	}
	if p.err != nil {
		return p.err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	then()
	return nil
}

// InFlight returns the bytes that are not confirmed.
func (p *Publisher) InFlight() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight
}

// Waiting reports whether a full stream holds publishing back: a target is slower than the source.
func (p *Publisher) Waiting() bool { return p.waiting.Load() }
