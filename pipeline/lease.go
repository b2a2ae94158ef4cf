package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrFenced says that another process leads.
var ErrFenced = errors.New("another process has taken over")

// ErrSilent says that a lease ran out because JetStream gave no answer. Another process may lead, or none.
var ErrSilent = errors.New("NATS did not answer for so long that another process may have taken over")

// renewal is how often a lease is written.
const renewal = 2 * time.Second

// patience is how long the holder of a lease may be without an answer before it takes the lease for lost.
func patience(ttl time.Duration) time.Duration { return ttl * 3 / 4 }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Lease makes one process the leader of a role in a backup.
type Lease struct {
	c     *Client
	kv    jetstream.KeyValue
	key   string
	me    string
	fence uint64
	rev   uint64
	ttl   time.Duration
	lost  chan struct{}
	why   error // after lost
	stop  context.CancelFunc
	done  chan struct{}
	once  sync.Once
}

// leases opens the bucket of the leases, and makes it when it is not there. It waits for as long as a cluster needs to choose new leaders.
func (c *Client) leases(ctx context.Context) (kv jetstream.KeyValue, err error) {
	err = c.tryMaking(ctx, outage, func(ctx context.Context) (err error) {
		kv, err = c.js.KeyValue(ctx, leaseBucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			kv, err = c.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: leaseBucket, History: 1, Replicas: c.replicas,
				Storage: jetstream.FileStorage, Description: "polarcast: which process leads a stage"})
			if errors.Is(err, jetstream.ErrBucketExists) {
				// A server of a cluster may not know yet what another process has made through another one.
				if kv, err = c.js.KeyValue(ctx, leaseBucket); errors.Is(err, jetstream.ErrBucketNotFound) {
					err = errUnsettled
				}
			}
		}
		return err
	})
	if err != nil {
		return nil, c.streamError("KV_"+leaseBucket, err)
	}
	return kv, nil
}

// Lease waits until this instance leads the role, and keeps it leading until Release, or until it was silent for ttl.
//
// The holder writes its key several times within ttl, and gives itself up for lost when it could not for three quarters of ttl. A waiting instance
// takes the key over when its revision has not changed for all of ttl by its own clock; clocks of different hosts are never compared. So there
// are two leaders at no time, unless one was stopped and goes on later: what it writes then carries a lower fence.
func (c *Client) Lease(ctx context.Context, backup, role, instance string, ttl time.Duration) (*Lease, error) {
	kv, err := c.leases(ctx)
	if err != nil {
		return nil, err
	}
	gctx, release := c.guard(ctx, "")
	defer release()
	key := backup + "." + role
	var seen uint64
	var since time.Time
	for {
		tctx, cancel := c.request(gctx)
		start := time.Now()
		e, err := kv.Get(tctx, key)
		var rev uint64
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			rev, err = kv.Create(tctx, key, []byte(instance))
		case err != nil:
		case len(e.Value()) == 0 || string(e.Value()) == instance:
			rev, err = kv.Update(tctx, key, []byte(instance), e.Revision())
		case e.Revision() != seen:
			seen, since = e.Revision(), time.Now()
		case time.Since(since) > ttl:
			rev, err = kv.Update(tctx, key, []byte(instance), e.Revision())
		}
		err = cause(tctx, err)
		cancel()
		if rev != 0 && err == nil {
			return c.hold(kv, key, instance, rev, ttl, start), nil
		}
		if gctx.Err() != nil {
			return nil, context.Cause(gctx)
		}
		if err != nil && !isConflict(err) && !isPassing(err) {
			return nil, c.apiError("lease "+key, err)
		}
		if err := sleep(gctx, min(ttl/10, 250*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

func (c *Client) hold(kv jetstream.KeyValue, key, me string, rev uint64, ttl time.Duration, at time.Time) *Lease {
	ctx, cancel := context.WithCancel(c.ctx)
	l := &Lease{c: c, kv: kv, key: key, me: me, fence: rev, rev: rev, ttl: ttl, lost: make(chan struct{}), stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		if l.why = l.renew(ctx, at.Add(patience(ttl))); l.why != nil {
			close(l.lost)
		}
	}()
	return l
}

// renew writes the key again and again. It returns why the lease was lost, nil when it was given up.
func (l *Lease) renew(ctx context.Context, deadline time.Time) error {
	for {
		if sleep(ctx, max(min(l.ttl/5, renewal, time.Until(deadline)), 0)) != nil {
			if l.c.ctx.Err() != nil {
				return ErrSilent
			}
			return nil
		}
		// A process that was stopped has let the time pass without asking: nobody may have taken over all the same, and the answer to one more try tells.
		start := time.Now()
		last := !start.Before(deadline)
		err := l.update(ctx, deadline, last)
		switch {
		case errors.Is(err, ErrFenced):
			return err
		case err == nil:
			deadline = start.Add(patience(l.ttl))
		case last:
			return ErrSilent
		}
	}
}

// update writes the key once. It is ErrFenced when that is somebody else's by now.
func (l *Lease) update(ctx context.Context, deadline time.Time, last bool) error {
	start := time.Now()
	// A stream that is choosing its leader leaves a request without an answer: there has to be time for another one.
	end := earlier(deadline, start.Add(max(l.ttl/6, renewal)))
	if last {
		end = start.Add(min(l.ttl/6, renewal))
	}
	rctx, release := l.c.request(ctx) // a lost connection is noticed at once: there is time for another try
	defer release()
	uctx, cancel := context.WithDeadline(rctx, end)
	defer cancel()
	r, err := l.kv.Update(uctx, l.key, []byte(l.me), l.rev)
	if isConflict(err) {
		// Either somebody took over, or an update of ours got through although its answer did not.
		var e jetstream.KeyValueEntry
		e, err = l.kv.Get(uctx, l.key)
		if errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && string(e.Value()) != l.me {
			return ErrFenced // not found: the backup was removed
		}
		if err == nil {
			r, err = l.kv.Update(uctx, l.key, []byte(l.me), e.Revision())
		}
	}
	if err == nil {
		l.rev = r
	}
	return err
}

// Lost is closed when another instance leads, or may do so soon.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Fence is a number that is higher for each later leader.
func (l *Lease) Fence() uint64 { return l.fence }

// Release lets another instance lead at once.
func (l *Lease) Release() {
	l.once.Do(func() {
		l.stop()
		<-l.done
		ctx, cancel := context.WithTimeout(l.c.ctx, 2*time.Second)
		defer cancel()
		_, _ = l.kv.Update(ctx, l.key, nil, l.rev) // if it fails, the lease runs out by itself
	})
}

type fenceKey struct{}

// Context returns a context that ends with ErrFenced or ErrSilent when the lease is lost. Events that are appended with it carry the lease's fence.
func (l *Lease) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, fenceKey{}, l.fence))
	go func() {
		select {
		case <-l.lost:
			cancel(fmt.Errorf("lease %s: %w", l.key, l.why))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func fenceOf(ctx context.Context) uint64 {
	f, _ := ctx.Value(fenceKey{}).(uint64)
	return f
}

// removeLeases makes all roles of a backup free.
func (c *Client) removeLeases(ctx context.Context, backup string) error {
	return c.purge(ctx, "KV_"+leaseBucket, "$KV."+leaseBucket+"."+backup+".>")
}
