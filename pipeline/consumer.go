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

// heartbeat is how often held messages are given a sign of life; three of them fit into ackWait.
const heartbeat = 3 * time.Second

// ConsumerOptions bounds a consumer.
type ConsumerOptions struct {
	// MaxBytesInFlight bounds what this process holds; 0 is 32 MiB.
	MaxBytesInFlight int64
}

// Consumer takes messages of a target. Any number of processes may do so; each message goes to one of them, and to another when that one
// falls silent.
type Consumer struct {
	c     *Client
	it    jetstream.MessagesContext
	name  string
	limit int64

	mu    sync.Mutex
	room  sync.Cond
	held  map[*Message]struct{}
	bytes int64
	queue chan *Message
	err   error
	stop  context.CancelFunc
	done  chan struct{}
}

// Message is one message that this process holds until it acknowledges it.
type Message struct {
	c   *Consumer
	m   jetstream.Msg
	seq uint64
	re  bool
	at  time.Time
}

// Consumer opens the durable consumer of a target.
func (c *Client) Consumer(ctx context.Context, backup, target string, o ConsumerOptions) (*Consumer, error) {
	if o.MaxBytesInFlight <= 0 {
		o.MaxBytesInFlight = 32 << 20
	}
	cons, err := c.js.Consumer(ctx, chunkStream+backup, consumerName(target))
	if err != nil {
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, fmt.Errorf("backup %q has no target %q: name one of its targets, or add this one to the sender's --target", backup, target)
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("backup %q has no chunk stream: it is complete, or was removed", backup)
		}
		return nil, fmt.Errorf("consumer of target %q of backup %q: %w", target, backup, err)
	}
	pull := int(min(o.MaxBytesInFlight/2, 8<<20))
	it, err := cons.Messages(jetstream.PullMaxBytes(pull), jetstream.PullExpiry(30*time.Second), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("consumer of target %q of backup %q: %w", target, backup, err)
	}
	pctx, stop := context.WithCancel(context.Background())
	k := &Consumer{c: c, it: it, name: target, limit: o.MaxBytesInFlight, held: map[*Message]struct{}{}, queue: make(chan *Message, maxAckPending),
		stop: stop, done: make(chan struct{})}
	k.room.L = &k.mu
	go k.pull(pctx)
	go k.beat(pctx)
	return k, nil
}

// pull keeps messages coming while there is room for them.
func (k *Consumer) pull(ctx context.Context) {
	defer close(k.done)
	defer close(k.queue)
	for ctx.Err() == nil {
		k.mu.Lock()
		for k.bytes >= k.limit && ctx.Err() == nil {
			k.room.Wait()
		}
		k.mu.Unlock()
		m, err := k.it.Next()
		if err != nil {
			switch {
			case ctx.Err() != nil, errors.Is(err, jetstream.ErrMsgIteratorClosed):
				return
			case errors.Is(err, jetstream.ErrNoHeartbeat), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrConnectionClosed) && k.c.nc.Status() != nats.CLOSED:
				continue // the library pulls again
			}
			k.fail(err)
			return
		}
		meta, err := m.Metadata()
		if err != nil {
			k.fail(err)
			return
		}
		msg := &Message{c: k, m: m, seq: meta.Sequence.Stream, re: meta.NumDelivered > 1, at: time.Now()}
		k.mu.Lock()
		k.held[msg] = struct{}{}
		k.bytes += int64(len(m.Data()))
		k.mu.Unlock()
		select {
		case k.queue <- msg:
		case <-ctx.Done():
			return
		}
	}
}

func (k *Consumer) fail(err error) {
	if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = fmt.Errorf("target %q was dropped from the backup while it was being written: %w", k.name, err)
	}
	k.mu.Lock()
	k.err = err
	k.mu.Unlock()
}

// beat tells JetStream that held messages are being worked on.
func (k *Consumer) beat(ctx context.Context) {
	t := time.NewTicker(heartbeat / 2)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := time.Now()
		var old []*Message
		k.mu.Lock()
		for m := range k.held {
			if now.Sub(m.at) >= heartbeat {
				m.at = now
				old = append(old, m)
			}
		}
		k.mu.Unlock()
		for _, m := range old {
			_ = m.m.InProgress() // a lost sign of life means a second delivery, which is harmless
		}
	}
}

// Next returns the next message. It blocks until there is one.
func (k *Consumer) Next(ctx context.Context) (*Message, error) {
	select {
	case m, ok := <-k.queue:
		if !ok {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.err == nil {
				return nil, context.Canceled
			}
			return nil, k.err
		}
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close gives back what is held, so that another process gets it at once.
func (k *Consumer) Close() {
	k.stop()
	k.it.Stop()
	k.mu.Lock()
	k.room.Broadcast()
	held := k.held
	k.held = map[*Message]struct{}{}
	k.mu.Unlock()
	<-k.done
	k.mu.Lock()
	for m := range k.held {
		held[m] = struct{}{}
	}
	k.mu.Unlock()
	for m := range held {
		_ = m.m.Nak()
	}
	_ = k.c.nc.FlushTimeout(2 * time.Second)
}

// Data is the message's payload. It is valid until Ack or Nak.
func (m *Message) Data() []byte { return m.m.Data() }

// Seq is the message's position in the chunk stream.
func (m *Message) Seq() uint64 { return m.seq }

// Redelivered reports whether the message was delivered before.
func (m *Message) Redelivered() bool { return m.re }

// Ack gives the message up for good. What it says must be durable. An acknowledgement that is lost on the way means a second delivery.
func (m *Message) Ack() error {
	m.release()
	if err := m.m.Ack(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrDisconnected) {
		return fmt.Errorf("could not acknowledge message %d: %w", m.seq, err)
	}
	return nil
}

// Nak gives the message back, for this process or another.
func (m *Message) Nak() error {
	m.release()
	return m.m.Nak()
}

func (m *Message) release() {
	k := m.c
	k.mu.Lock()
	if _, ok := k.held[m]; ok {
		delete(k.held, m)
		k.bytes -= int64(len(m.m.Data()))
		k.room.Broadcast()
	}
	k.mu.Unlock()
}
