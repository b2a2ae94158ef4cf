package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestServerIsAwayFor has requests that begin while the server is away: they wait for it, and each takes effect once.
func TestServerIsAwayFor(t *testing.T) {
	r := newRestartable(t)
	c := r.client()
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}, Keep: time.Minute})
	const items = 100
	work := make([][]byte, items)
	for i := range work {
		work[i] = []byte{byte(i)}
	}
	if err := c.PublishWork(testContext(t), "b", work[0]); err != nil {
		t.Fatal(err)
	}
	for name, fn := range map[string]func(ctx context.Context) error{
		"work":          func(ctx context.Context) error { return c.PublishWork(ctx, "b", work[1:]...) },
		"a target":      func(ctx context.Context) error { return c.AddTarget(ctx, "b", "n2") },
		"keeping":       func(ctx context.Context) error { return c.KeepFor(ctx, "b", time.Hour) },
		"how long kept": func(ctx context.Context) error { _, err := c.Kept(ctx, "b"); return err },
		"the list":      func(ctx context.Context) error { _, err := c.Backups(ctx); return err },
	} {
		r.s.Shutdown()
		eventually(t, "the connection is lost", func() bool { return !c.Connected() })
		done := make(chan error, 1)
		go func() { done <- fn(testContext(t)) }()
		select {
		case err := <-done:
			t.Errorf("%s: %v, while the server is away", name, err)
			done <- err
		case <-time.After(200 * time.Millisecond):
		}
		r.start()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := c.WorkLeft(testContext(t), "b"); err != nil || n != items {
		t.Errorf("%d items are in the work queue, want %d: %v", n, items, err)
	}
}

// TestNoAnswerSaysWhatToDo names what was asked for and what to look at.
func TestNoAnswerSaysWhatToDo(t *testing.T) {
	c := newClient(t)
	for _, err := range []error{context.DeadlineExceeded, nats.ErrNoResponders, nats.ErrTimeout, nats.ErrDisconnected} {
		wants(t, c.apiError("consumer t_a of stream POLARCAST_b", err), "does not answer for consumer t_a of stream POLARCAST_b", "check that the server runs", err.Error())
	}
}
