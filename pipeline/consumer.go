package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ConsumerOptions bounds a consumer.
type ConsumerOptions struct {
	// MaxBytesInFlight bounds what this process holds and has asked for; 0 is 16 MiB. It is at least 4 MiB.
	MaxBytesInFlight int64
	// MaxMessages bounds the number of messages that this process holds and has asked for; 0 is 4096.
	MaxMessages int
}

// Consumer takes messages of a target. Any number of processes may do so; each message goes to one of them, and to another when that one
// falls silent. Any number of goroutines may call Next.
//
// A message is held from the moment that it arrives until it is acknowledged, and everything that is held is given signs of life: nothing
// ages unseen in a buffer of the library, to be delivered to a second process while the first one works on it (nats.go issue 1929).
type Consumer struct {
	c      *Client
	what   string // for messages
	stream string
	name   string
	puller *puller

	mu      sync.Mutex
	held    map[uint64]*Message // by position in the stream
	queue   []*Message
	waiting chan struct{} // holds one token when the queue has something, or the consumer has ended
	err     error
	ended   bool
	lastAck string // where the last acknowledgement went
	stop    context.CancelFunc
}

// Consumer opens the durable consumer of a target. It is ErrNoStream when the chunk stream is gone.
func (c *Client) Consumer(ctx context.Context, backup, target string, o ConsumerOptions) (*Consumer, error) {
	k, err := c.consume(ctx, chunkStream+backup, consumerName(target), fmt.Sprintf("target %q of backup %q", target, backup), o)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, fmt.Errorf("backup %q at %s has no target %q: name one of its targets, or name this one when the backup is begun", backup, c.where, target)
	}
	return k, err
}

func (c *Client) consume(ctx context.Context, stream, name, what string, o ConsumerOptions) (*Consumer, error) {
	if err := c.tryFor(ctx, outage, func(ctx context.Context) error {
		cons, err := c.js.Consumer(ctx, stream, name)
		if err != nil {
			return err
		}
		if cfg := cons.CachedInfo().Config; cfg.AckWait != ackWait { // redeliver was killed half-way
			return c.setAckWait(ctx, stream, cfg, ackWait)
		}
		return nil
	}); err != nil {
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
		return nil, c.streamError(stream, err)
	}
	k := &Consumer{c: c, what: what, stream: stream, name: name, held: map[uint64]*Message{}, waiting: make(chan struct{}, 1)}
	pctx, stop := c.guard(context.Background(), "$JS.API.CONSUMER.MSG.NEXT."+stream)
	k.stop = stop
	p, err := newPuller(c, stream, name, o, k.arrived, k.reconnected, k.fail)
	if err != nil {
		stop()
		return nil, c.apiError("the consumer of "+what, err)
	}
	k.puller = p
	p.start()
	context.AfterFunc(pctx, func() {
		if e := context.Cause(pctx); errors.Is(e, ErrDenied) || errors.Is(e, ErrClosed) {
			k.fail(e)
		}
	})
	go k.beat(pctx)
	return k, nil
}

// arrived takes a message from the puller.
func (k *Consumer) arrived(m *nats.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		k.fail(fmt.Errorf("a message without a JetStream reply subject: %w", err))
		return
	}
	msg := &Message{k: k, reply: m.Reply, data: m.Data, size: m.Size(), seq: meta.Sequence.Stream, re: meta.NumDelivered > 1, at: time.Now()}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[msg.seq] != nil { // delivered again because another process died: an acknowledgement of either is one of both
		k.puller.release(msg.size)
		return
	}
	if isReference(msg.data) {
		var ok bool
		if msg.beside, msg.data, ok = k.c.beside.get(msg.data); !ok {
			k.puller.release(msg.size)
			_ = msg.answer(ackYes) // what is missing is found by who proves the target
			k.c.log.Debug("the payload of a message is gone with the process that had it", "stream", k.stream, "message", msg.seq)
			return
		}
	}
	k.held[msg.seq] = msg
	k.queue = append(k.queue, msg)
	k.wake()
}

func (k *Consumer) wake() {
	select {
	case k.waiting <- struct{}{}:
	default:
	}
}

// reconnected asks for what was on its way to a connection that broke.
func (k *Consumer) reconnected() {
	if err := k.c.redeliver(k.c.ctx, k.stream, k.name); err != nil && k.c.ctx.Err() == nil {
		k.c.log.Debug("what was on its way to a broken connection comes late", "consumer", k.name, "error", err)
	}
}

// fail ends the consumer for whoever calls Next.
func (k *Consumer) fail(err error) {
	switch {
	case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
		err = fmt.Errorf("%s was dropped while it was being served: %w", k.what, err)
	case isGone(err):
		err = fmt.Errorf("consumer of %s: %w", k.what, k.c.streamError(k.stream, err))
	default:
		err = fmt.Errorf("consumer of %s: %w", k.what, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = err
	}
	k.ended = true
	k.wake()
}

// Next returns the next message. It blocks until there is one, ctx ends, or the consumer or its stream is gone.
func (k *Consumer) Next(ctx context.Context) (*Message, error) {
	for {
		k.mu.Lock()
		if k.err != nil || k.ended {
			k.wake() // the others too
			err := k.err
			k.mu.Unlock()
			if err == nil {
				err = ErrClosed
			}
			return nil, err
		}
		if len(k.queue) > 0 {
			m := k.queue[0]
			k.queue[0] = nil
			k.queue = k.queue[1:]
			if len(k.queue) > 0 {
				k.wake()
			}
			k.mu.Unlock()
			return m, nil
		}
		k.mu.Unlock()
		select {
		case <-k.waiting:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Lag returns what the target has still to do.
func (k *Consumer) Lag(ctx context.Context) (Lag, error) {
	return k.c.lag(ctx, k.stream, k.name, k.what)
}

// Flush returns when JetStream has taken note of all acknowledgements up to now.
func (k *Consumer) Flush(ctx context.Context) error {
	k.mu.Lock()
	last := k.lastAck
	k.mu.Unlock()
	if last == "" {
		return nil
	}
	// A second acknowledgement of the same message does nothing, but is answered, and JetStream takes them in order.
	err := k.c.tryFor(ctx, outage, func(ctx context.Context) error {
		_, err := k.c.nc.RequestWithContext(ctx, last, ackYes)
		return err
	})
	if err != nil {
		return k.c.apiError("the acknowledgements of "+k.what, err)
	}
	return nil
}

// Close gives back what is held, so that another process gets it at once.
func (k *Consumer) Close() {
	k.puller.close()
	k.mu.Lock()
	held := k.held
	k.held, k.queue, k.ended = map[uint64]*Message{}, nil, true
	k.wake()
	k.mu.Unlock()
	k.stop()
	for _, m := range held {
		_ = k.c.nc.Publish(m.reply, ackNo)
	}
	if !k.c.nc.IsClosed() {
		_ = k.c.nc.FlushTimeout(2 * time.Second) // what does not get through is delivered again after ackWait
	}
}
