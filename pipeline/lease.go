package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Lease makes one process the leader of a role in a backup.
type Lease struct {
	kv   jetstream.KeyValue
	key  string
	rev  uint64
	me   string
	lost chan struct{}
	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

func (c *Client) leases(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := c.js.KeyValue(ctx, leaseBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = c.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: leaseBucket, History: 1, Replicas: c.replicas,
			Storage: jetstream.FileStorage, Description: "polarcast: which process leads a stage"})
	}
	if err != nil {
		return nil, fmt.Errorf("JetStream bucket %s: %w", leaseBucket, err)
	}
	return kv, nil
}

// Lease waits until this instance leads the role, and keeps it leading until Release, or until it was silent for ttl.
//
// The holder writes its key every third of ttl. A waiting instance takes the key over when its revision has not changed for ttl by its own
// clock, so that clocks of different hosts are never compared.
func (c *Client) Lease(ctx context.Context, backup, role, instance string, ttl time.Duration) (*Lease, error) {
	kv, err := c.leases(ctx)
	if err != nil {
		return nil, err
	}
	key := backup + "." + role
	var seen uint64
	var since time.Time
	for {
		e, err := kv.Get(ctx, key)
		var rev uint64
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			rev, err = kv.Create(ctx, key, []byte(instance))
		case err != nil:
		case len(e.Value()) == 0 || string(e.Value()) == instance:
			rev, err = kv.Update(ctx, key, []byte(instance), e.Revision())
		case e.Revision() != seen:
			seen, since = e.Revision(), time.Now()
		case time.Since(since) > ttl:
			rev, err = kv.Update(ctx, key, []byte(instance), e.Revision())
		}
		if rev != 0 && err == nil {
			return c.hold(kv, key, instance, rev, ttl), nil
		}
		if err != nil && !isConflict(err) && !isPassing(err) {
			return nil, fmt.Errorf("lease %s: %w", key, err)
		}
		select {
		case <-time.After(min(ttl/10, 500*time.Millisecond)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *Client) hold(kv jetstream.KeyValue, key, me string, rev uint64, ttl time.Duration) *Lease {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lease{kv: kv, key: key, rev: rev, me: me, lost: make(chan struct{}), stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		last := time.Now()
		for {
			select {
			case <-time.After(ttl / 3):
			case <-ctx.Done():
				return
			}
			uctx, cancel := context.WithTimeout(ctx, ttl/3)
			r, err := kv.Update(uctx, key, []byte(me), l.rev)
			cancel()
			switch {
			case err == nil:
				l.rev, last = r, time.Now()
			case ctx.Err() != nil:
				return
			case isConflict(err):
				// Either somebody took over, or an update of ours got through although its answer did not.
				gctx, cancel := context.WithTimeout(ctx, ttl/3)
				e, gerr := kv.Get(gctx, key)
				cancel()
				if gerr == nil && string(e.Value()) == me {
					l.rev, last = e.Revision(), time.Now()
					continue
				}
				if gerr == nil {
					close(l.lost)
					return
				}
			}
			if time.Since(last) > ttl {
				close(l.lost)
				return
			}
		}
	}()
	return l
}

// Lost is closed when another instance leads, or may do so.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Release lets another instance lead at once.
func (l *Lease) Release() {
	l.once.Do(func() {
		l.stop()
		<-l.done
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, _ = l.kv.Update(ctx, l.key, nil, l.rev) // if it fails, the lease runs out by itself
	})
}

func (c *Client) removeLeases(ctx context.Context, backup string) error {
	kv, err := c.js.KeyValue(ctx, leaseBucket)
	if err != nil {
		return nil
	}
	keys, err := kv.Keys(ctx)
	if err != nil {
		return nil
	}
	for _, k := range keys {
		if strings.HasPrefix(k, backup+".") {
			if err := kv.Purge(ctx, k); err != nil {
				return fmt.Errorf("lease %s: %w", k, err)
			}
		}
	}
	return nil
}
