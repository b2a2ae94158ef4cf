package pipeline

import (
	"context"
	"errors"
	"testing"
	"time"
)

func lease(t *testing.T, c *Client, instance string, ttl time.Duration) *Lease {
	t.Helper()
	l, err := c.Lease(testContext(t), "b", "wal", instance, ttl)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}

func isLost(l *Lease) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

func TestLeaseHasOneHolderAndRisingFences(t *testing.T) {
	s := startServer(t, ServerOptions{})
	a, b := connect(t, ClientOptions{Server: s}), connect(t, ClientOptions{Server: s})
	first := lease(t, a, "a", time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // longer than its time: it is renewed
	defer cancel()
	if _, err := b.Lease(ctx, "b", "wal", "b", time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("two leaders: %v", err)
	}
	if isLost(first) {
		t.Fatal("the lease was not renewed")
	}
	first.Release()
	second := lease(t, b, "b", time.Minute)
	if second.Fence() <= first.Fence() {
		t.Errorf("fence %d after %d", second.Fence(), first.Fence())
	}
	if isLost(first) {
		t.Error("a lease that was given back is not lost")
	}
}

func TestLeaseOfADeadHolderIsTakenOver(t *testing.T) {
	s := startServer(t, ServerOptions{})
	a, b := connect(t, ClientOptions{Server: s}), connect(t, ClientOptions{Server: s})
	createBackup(t, b, "b", StreamOptions{Targets: []string{"n1"}})
	first := lease(t, a, "a", 500*time.Millisecond)
	ctx, cancel := first.Context(testContext(t))
	defer cancel()
	fctx := context.WithoutCancel(ctx) // what a process that was stopped still has in its hands
	a.nc.Close()                       // like kill -9, or a cut link
	second := lease(t, b, "b", 500*time.Millisecond)
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), ErrSilent) {
		t.Errorf("the holder's context ended with %v", context.Cause(ctx))
	}
	bctx, done := second.Context(testContext(t))
	defer done()
	if err := b.Log("b").Append(bctx, "wal", "b", limit(1)); err != nil {
		t.Fatal(err)
	}
	// The process that was stopped goes on, with a connection again.
	err := connect(t, ClientOptions{Server: s}).Log("b").Append(fctx, "wal", "a", limit(2))
	if !errors.Is(err, ErrFenced) {
		t.Errorf("the old leader could write: %v", err)
	}
	if st, err := b.Log("b").State(testContext(t)); err != nil || st.Limits[""] != 1 {
		t.Errorf("limits %v, %v", st.Limits, err)
	}
}

func TestLeaseThatSomebodyTookIsLost(t *testing.T) {
	c := newClient(t)
	l := lease(t, c, "a", 2*time.Second)
	kv, err := c.leases(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(testContext(t), "b.wal", []byte("thief")); err != nil {
		t.Fatal(err)
	}
	<-l.Lost()
}

func TestAProcessThatWasStoppedKeepsALeaseThatNobodyTook(t *testing.T) {
	c := newClient(t)
	l := lease(t, c, "a", 2*time.Second)
	l.stop()
	<-l.done
	before := l.rev
	ctx, cancel := context.WithTimeout(testContext(t), time.Second)
	defer cancel()
	if err := l.renew(ctx, time.Now().Add(-time.Minute)); err != nil || l.rev == before {
		t.Errorf("%v, revision %d after %d", err, l.rev, before)
	}
	kv, err := c.leases(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(testContext(t), "b.wal", []byte("thief")); err != nil {
		t.Fatal(err)
	}
	if err := l.renew(testContext(t), time.Now().Add(-time.Minute)); !errors.Is(err, ErrFenced) {
		t.Errorf("somebody took it: %v", err)
	}
}

func TestProgressIsSeen(t *testing.T) {
	c := newClient(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	seen := make(chan Progress, 100)
	ended := make(chan error, 1)
	go func() { ended <- c.WatchProgress(ctx, "b", func(p Progress) { seen <- p }) }()
	sent := Progress{Backup: "b", Stage: "wal", Instance: "host.example com-1", Read: 7, Time: time.Now().UTC()}
	eventually(t, "a report arrives", func() bool {
		c.ReportProgress(Progress{Backup: "other", Stage: "wal"})
		c.ReportProgress(sent)
		return len(seen) > 0
	})
	if p := <-seen; p != sent {
		t.Errorf("got %+v", p)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
