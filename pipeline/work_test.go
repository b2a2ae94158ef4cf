package pipeline

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestSilentReader takes an item, falls silent for as long as a stopped process does, and comes back: it hears that the item may be another one's, does not take it
// from that one by giving it back, and stays out of it until it takes work anew.
func TestSilentReader(t *testing.T) {
	ctx := testContext(t)
	c := newClient(t)
	createBackup(t, c, "b1", StreamOptions{Targets: []string{"a"}})
	if err := c.PublishWork(ctx, "b1", []byte("one"), []byte("two")); err != nil {
		t.Fatal(err)
	}
	w, err := c.WorkConsumer(ctx, "b1", WorkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	first, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Alive(); err != nil {
		t.Errorf("a reader that took an item just now: %v", err)
	}
	w.mu.Lock()
	w.heard = time.Now().Add(-silence - time.Second)
	w.mu.Unlock()
	if err := w.Alive(); !errors.Is(err, ErrWorkLost) {
		t.Errorf("a reader that was silent for %v: %v", silence, err)
	}
	time.Sleep(heartbeat + 500*time.Millisecond)
	if err := w.Alive(); !errors.Is(err, ErrWorkLost) {
		t.Errorf("a later sign of life made the reader forget that it was silent: %v", err)
	}
	if err := first.Nak(); err != nil {
		t.Error(err)
	}
	second, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if string(second.Data()) != "two" || w.Alive() != nil {
		t.Errorf("work that was taken anew is %q, alive: %v", second.Data(), w.Alive())
	}
	if err := second.Ack(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if it, err := w.Next(short); err == nil {
		t.Errorf("item %q was given back by one who had lost it", it.Data())
	}
}
