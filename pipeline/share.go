package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pollShare is how often a process looks whether others that share its consumer are dead.
const pollShare = 500 * time.Millisecond

// ShareTarget names this instance as one that takes messages of a target, until leave is called. What those held whose process is gone, as dead
// says, is delivered again at once instead of after ackWait: now, and whenever one of them dies.
//
// JetStream cannot be asked for the messages of one process, so those that the living hold are delivered a second time as well. That is harmless,
// and bounded by what a consumer may hold.
//
// All of this only saves time: without it, or without the permission for it, everything comes after ackWait.
func (c *Client) ShareTarget(ctx context.Context, backup, target, instance string, dead func(instance string) bool) (leave func()) {
	s := &sharer{c: c, stream: chunkStream + backup, consumer: consumerName(target), dead: dead, others: map[string]jetstream.KeyValueEntry{}}
	return s.join(ctx, backup, instance)
}

// ShareWork is ShareTarget for the work queue of a backup. An item is much to read twice, so this is done once, and only when nobody living has any.
func (c *Client) ShareWork(ctx context.Context, backup, instance string, dead func(instance string) bool) (leave func()) {
	s := &sharer{c: c, stream: workStream + backup, consumer: workConsumer, dead: dead, others: map[string]jetstream.KeyValueEntry{}, alone: true}
	return s.join(ctx, backup, instance)
}

// sharer is one process among those that share a consumer. They are listed in the bucket of the leases.
type sharer struct {
	c                *Client
	stream, consumer string
	dead             func(instance string) bool
	alone            bool
	kv               jetstream.KeyValue
	others           map[string]jetstream.KeyValueEntry
}

func (s *sharer) join(ctx context.Context, backup, instance string) (leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	sum := sha256.Sum256([]byte(instance)) // the name of a host may hold what a key must not
	prefix := backup + "." + s.consumer + "."
	me := prefix + hex.EncodeToString(sum[:8])
	w, rev, err := s.enter(ctx, prefix, me, instance)
	if err != nil {
		s.c.log.Debug("what dead processes hold comes late", "consumer", s.consumer, "error", err)
		cancel()
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Stop()
		if !s.alone {
			s.lookAfter(ctx, w)
		}
	}()
	return func() {
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(s.c.ctx, 2*time.Second)
		defer cancel()
		// One that stays is that of a dead process for the next one. When the backup was removed meanwhile, nothing is written.
		_ = s.kv.Delete(ctx, me, jetstream.LastRevision(rev))
	}
}

// enter adds this process to the list, and has delivered again what the dead ones on it held.
func (s *sharer) enter(ctx context.Context, prefix, me, instance string) (w jetstream.KeyWatcher, rev uint64, err error) {
	if s.kv, err = s.c.leases(ctx); err != nil {
		return nil, 0, err
	}
	rctx, end := s.c.request(ctx)
	defer end()
	if w, err = s.kv.Watch(ctx, prefix+"*"); err != nil {
		return nil, 0, cause(rctx, err)
	}
	for all := false; !all; {
		select {
		case e, ok := <-w.Updates():
			if all = !ok || e == nil; !all { // nil: these are all that there were
				s.note(e)
			}
		case <-rctx.Done():
			return nil, 0, errors.Join(context.Cause(rctx), w.Stop())
		}
	}
	if err := s.bury(ctx); err != nil {
		s.c.log.Debug("what dead processes hold comes late", "consumer", s.consumer, "error", err)
	}
	rev, err = s.kv.Put(rctx, me, []byte(instance))
	if err != nil {
		return nil, 0, errors.Join(cause(rctx, err), w.Stop())
	}
	return w, rev, nil
}

func (s *sharer) note(e jetstream.KeyValueEntry) {
	if e.Operation() == jetstream.KeyValuePut {
		s.others[e.Key()] = e
	} else {
		delete(s.others, e.Key())
	}
}

// lookAfter buries those that die, until ctx ends.
func (s *sharer) lookAfter(ctx context.Context, w jetstream.KeyWatcher) {
	t := time.NewTicker(pollShare)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Updates():
			if !ok {
				return
			}
			if e != nil {
				s.note(e)
			}
		case <-t.C:
			if err := s.bury(ctx); err != nil {
				s.c.log.Debug("what a dead process holds comes late", "consumer", s.consumer, "error", err)
			}
		}
	}
}

// bury takes the dead from the list, and has delivered again what they held.
func (s *sharer) bury(ctx context.Context) error {
	buried := 0
	for key, e := range s.others {
		if !s.dead(string(e.Value())) {
			continue
		}
		delete(s.others, key)
		// One of the living does it: the one who can delete this revision.
		rctx, end := s.c.request(ctx)
		err := s.kv.Delete(rctx, key, jetstream.LastRevision(e.Revision()))
		end()
		if err == nil {
			s.c.log.Info("taking over what a dead process held", "consumer", s.consumer, "process", string(e.Value()))
			buried++
		}
	}
	if buried == 0 || s.alone && len(s.others) > 0 {
		return nil
	}
	return s.c.redeliver(ctx, s.stream, s.consumer)
}

// impatience is how long a message must have been held for redeliver to deliver it again.
const impatience = 150 * time.Millisecond

// redeliver has everything that is held of a consumer delivered again. A consumer that is gone has nothing.
func (c *Client) redeliver(ctx context.Context, stream, consumer string) error {
	var info *jetstream.ConsumerInfo
	err := c.tryFor(ctx, outage, func(ctx context.Context) error {
		cons, err := c.js.Consumer(ctx, stream, consumer)
		if err == nil {
			info = cons.CachedInfo()
		}
		return err
	})
	if errors.Is(err, jetstream.ErrConsumerNotFound) || isGone(err) {
		return nil
	}
	if err != nil {
		return c.apiError(fmt.Sprintf("consumer %s of stream %s", consumer, stream), err)
	}
	if info.NumAckPending > 0 {
		// A change of the time makes the server look at what is held, 100 ms later (nats-server, consumer.updateConfig). It is changed back before
		// what is delivered now would come a third time.
		if err := c.setAckWait(ctx, stream, info.Config, impatience); err != nil {
			return err
		}
		_ = sleep(ctx, impatience+50*time.Millisecond)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), apiWait) // not left like this for the one who comes next
		defer cancel()
	} else if info.Config.AckWait == ackWait {
		return nil
	}
	return c.setAckWait(ctx, stream, info.Config, ackWait)
}

// setAckWait changes how long messages of a consumer may be held, unless it is gone.
func (c *Client) setAckWait(ctx context.Context, stream string, cfg jetstream.ConsumerConfig, wait time.Duration) error {
	cfg.AckWait = wait
	err := c.try(ctx, func(ctx context.Context) error {
		_, err := c.js.UpdateConsumer(ctx, stream, cfg)
		return err
	})
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDoesNotExist) || isGone(err) {
		return nil
	}
	return c.apiError(fmt.Sprintf("consumer %s of stream %s", cfg.Durable, stream), err)
}
