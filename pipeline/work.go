package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// workConsumer is the durable consumer of a work queue that all readers of a backup share.
const workConsumer = "readers"

// maxWorkPending bounds the items that all readers hold together.
const maxWorkPending = 4096

// WorkOptions says how a reader takes work. It has no options today.
type WorkOptions struct{}

// ensureWork makes the work queue of a backup and its consumer.
func (c *Client) ensureWork(ctx context.Context, id string) (jetstream.Stream, error) {
	var s jetstream.Stream
	err := c.tryMaking(ctx, outage, func(ctx context.Context) (err error) {
		s, err = c.openOrCreate(ctx, jetstream.StreamConfig{Name: workStream + id, Subjects: []string{workPrefix + id + ".>"},
			Storage: jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy, Replicas: c.replicas, Duplicates: 2 * time.Minute,
			Description: "polarcast: what is still to be read of backup " + id})
		return err
	})
	if err != nil {
		return nil, c.streamError(workStream+id, err)
	}
	return s, nil
}

// PublishWork adds items to a backup's work queue. It returns when JetStream holds all of them.
func (c *Client) PublishWork(ctx context.Context, backup string, items ...[]byte) error {
	if _, err := c.ensureWork(ctx, backup); err != nil {
		return err
	}
	subject := workPrefix + backup + ".item"
	ctx, release := c.guard(ctx, subject)
	defer release()
	acks, ids := make([]jetstream.PubAckFuture, len(items)), make([]jetstream.PublishOpt, len(items))
	for i, it := range items {
		ids[i] = jetstream.WithMsgID(nuid.Next())
		acks[i], _ = c.js.PublishAsync(subject, it, ids[i]) // nil without a connection
	}
	for i, f := range acks {
		if f != nil {
			select {
			case <-f.Ok():
				continue
			case <-f.Err():
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		// Once more, and waiting: an item that is lost would never be read. JetStream knows one that it has by its id.
		err := c.tryFor(ctx, outage, func(ctx context.Context) error {
			_, err := c.js.Publish(ctx, subject, items[i], ids[i], jetstream.WithRetryAttempts(0))
			return err
		})
		if err != nil {
			return fmt.Errorf("could not add work for the readers of backup %q: %w", backup, c.streamError(workStream+backup, err))
		}
	}
	return nil
}

// WorkLeft returns how many items are not acknowledged yet.
func (c *Client) WorkLeft(ctx context.Context, backup string) (uint64, error) {
	s, err := c.ensureWork(ctx, backup)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.Msgs, nil
}

// PurgeWork removes all items.
func (c *Client) PurgeWork(ctx context.Context, backup string) error {
	s, err := c.ensureWork(ctx, backup)
	if err != nil {
		return err
	}
	if err := c.tryFor(ctx, outage, func(ctx context.Context) error { return s.Purge(ctx) }); err != nil {
		return fmt.Errorf("could not empty the work queue of backup %q: %w", backup, c.streamError(workStream+backup, err))
	}
	return nil
}

// WorkConsumer takes items of a backup's work queue. Any number of processes may do so; each item goes to one of them, and to another when that one
// falls silent.
type WorkConsumer struct {
	c    *Client
	cons jetstream.Consumer
	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex
	held   map[*WorkItem]struct{}
	heard  time.Time // when the last sign of life left that reached the server
	silent bool
}

// silence is how long a reader may have given no sign of life until JetStream may have given what it holds to another one.
const silence = ackWait * 3 / 4

// ErrWorkLost: this process was stopped, or cut off from NATS, for so long that others may have what it holds. It must publish nothing more of that, and take work anew.
var ErrWorkLost = errors.New("this process gave no sign of life for so long that another one may read what it was reading")

// WorkItem is one item that this process holds until it acknowledges it.
type WorkItem struct {
	w  *WorkConsumer
	m  jetstream.Msg
	re bool
}

// WorkConsumer opens the work queue of a backup.
func (c *Client) WorkConsumer(ctx context.Context, backup string, _ WorkOptions) (*WorkConsumer, error) {
	s, err := c.ensureWork(ctx, backup)
	if err != nil {
		return nil, err
	}
	var cons jetstream.Consumer
	err = c.tryMaking(ctx, outage, func(ctx context.Context) (err error) {
		cons, err = s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: workConsumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
			MaxAckPending: maxWorkPending, MaxDeliver: -1, DeliverPolicy: jetstream.DeliverAllPolicy})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("work queue of backup %q: %w", backup, c.streamError(workStream+backup, err))
	}
	wctx, stop := context.WithCancel(context.Background())
	w := &WorkConsumer{c: c, cons: cons, ctx: wctx, stop: stop, held: map[*WorkItem]struct{}{}, heard: time.Now()}
	go w.beat()
	return w, nil
}

// workPoll is how long one request for an item waits at the server.
const workPoll = 5 * time.Second

// Next returns the next item. It blocks until there is one. It may be called from several goroutines.
func (w *WorkConsumer) Next(ctx context.Context) (*WorkItem, error) {
	type result struct {
		m   jetstream.Msg
		err error
	}
	for {
		got := make(chan result, 1)
		go func() {
			b, err := w.cons.Fetch(1, jetstream.FetchMaxWait(workPoll))
			if err != nil {
				got <- result{err: err}
				return
			}
			m := <-b.Messages() // nil when the channel was closed without one
			got <- result{m, b.Error()}
		}()
		select {
		case <-ctx.Done():
			go func() { // what is on its way is given back
				if r := <-got; r.m != nil {
					_ = r.m.Nak()
				}
			}()
			return nil, context.Cause(ctx)
		case r := <-got:
			if r.m != nil {
				return w.take(r.m)
			}
			if r.err != nil && !errors.Is(r.err, nats.ErrTimeout) && !errors.Is(r.err, jetstream.ErrNoMessages) && !isPassing(r.err) {
				return nil, fmt.Errorf("work queue: %w", r.err)
			}
			if r.err != nil && !errors.Is(r.err, nats.ErrTimeout) {
				select { // such as a lost connection: the library makes it again
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	}
}

func (w *WorkConsumer) take(m jetstream.Msg) (*WorkItem, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("work queue: %w", err)
	}
	it := &WorkItem{w: w, m: m, re: meta.NumDelivered > 1}
	w.mu.Lock()
	if len(w.held) == 0 {
		w.heard, w.silent = time.Now(), false // nothing can have been given to others
	}
	w.held[it] = struct{}{}
	w.mu.Unlock()
	return it, nil
}

// Alive returns ErrWorkLost when what this process holds may have been given to another one. It is asked before anything is published: two readers of one piece would make
// a file of two moments, whose checksum nobody knows.
func (w *WorkConsumer) Alive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = w.silent || time.Since(w.heard) > silence
	if w.silent {
		return ErrWorkLost
	}
	return nil
}

// beat tells JetStream that held items are being worked on.
func (w *WorkConsumer) beat() {
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-t.C:
		}
		if w.Alive() != nil {
			continue // others have it: it is theirs
		}
		at := time.Now()
		w.mu.Lock()
		for it := range w.held {
			_ = it.m.InProgress() // a lost sign of life means a second delivery, which Alive notices
		}
		w.mu.Unlock()
		if w.c.nc.FlushTimeout(ackWait/2) == nil && w.Alive() == nil {
			w.mu.Lock()
			w.heard = at
			w.mu.Unlock()
		}
	}
}

// Close gives back what is held, so that another reader gets it at once.
func (w *WorkConsumer) Close() {
	w.stop()
	lost := w.Alive() != nil
	w.mu.Lock()
	held := w.held
	w.held = map[*WorkItem]struct{}{}
	w.mu.Unlock()
	for it := range held {
		if !lost { // else it would be taken from the one who has it now
			_ = it.m.Nak()
		}
	}
	_ = w.c.nc.FlushTimeout(2 * time.Second)
}

// Data is the item.
func (it *WorkItem) Data() []byte { return it.m.Data() }

// Redelivered reports whether another reader, or this one, has had the item before.
func (it *WorkItem) Redelivered() bool { return it.re }

// Ack removes the item from the queue. An acknowledgement that is lost on the way means a second delivery.
func (it *WorkItem) Ack() error {
	it.release()
	return it.m.Ack()
}

// Nak gives the item back, for this process or another.
func (it *WorkItem) Nak() error {
	lost := it.w.Alive() != nil
	it.release()
	if lost {
		return nil
	}
	return it.m.Nak()
}

func (it *WorkItem) release() {
	it.w.mu.Lock()
	delete(it.w.held, it)
	it.w.mu.Unlock()
}
