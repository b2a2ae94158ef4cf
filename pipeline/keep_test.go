package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestATargetJoinsOnlyWhileNothingIsGone(t *testing.T) {
	c := newClient(t)
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	createBackup(t, c, "kept", StreamOptions{Targets: []string{"n1"}, Keep: time.Hour})
	for _, id := range []string{"b", "kept"} {
		p := c.ChunkPublisher(id, PublisherOptions{})
		publish(t, p, 0, 3, 100)
		flush(t, p)
		if err := c.JoinTarget(ctx, id, "early"); err != nil {
			t.Fatal(err)
		}
		// The middle one is acknowledged by all: the first one still is there.
		for _, target := range []string{"n1", "early"} {
			k := consumer(t, c, id, target, ConsumerOptions{})
			next(t, k)
			ack(t, next(t, k))
			if err := k.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the acknowledged chunk is deleted", func() bool {
		i, err := c.ChunkStream(ctx, "b")
		return err == nil && i.Messages == 2
	})
	if err := c.JoinTarget(ctx, "b", "late"); !errors.Is(err, ErrTooLate) {
		t.Errorf("error: %v", err)
	}
	if err := c.JoinTarget(ctx, "kept", "late"); err != nil {
		t.Errorf("error: %v", err)
	}
	k := consumer(t, c, "kept", "late", ConsumerOptions{})
	for i := range 3 {
		if n := number(next(t, k)); n != i {
			t.Errorf("message %d came for %d", n, i)
		}
	}
}

func TestABufferThatIsFullOfKeptChunksIsAnError(t *testing.T) {
	c := newClient(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	createBackup(t, c, "kept", StreamOptions{Targets: []string{"n1"}, Keep: time.Hour, MaxBytes: 4 << 20})
	k := consumer(t, c, "kept", "n1", ConsumerOptions{})
	go func() {
		for ctx.Err() == nil {
			if m, err := k.Next(ctx); err == nil {
				_ = m.Ack()
			}
		}
	}()
	published := make(chan error, 1)
	go func() {
		p := c.ChunkPublisher("kept", PublisherOptions{})
		var err error
		for i := 0; i < 16 && err == nil; i++ {
			err = p.Publish(ctx, SubjectData, payload(p, i, 500_000), nil)
		}
		if err == nil {
			err = p.Flush(ctx)
		}
		published <- err
	}()
	err := c.Janitor(ctx, "kept", time.Hour, func(State) []string { return []string{"n1"} })
	if !errors.Is(err, ErrKeepFull) || !strings.Contains(err.Error(), "--buffer") {
		t.Fatalf("error: %v", err)
	}
	if err := c.Enlarge(ctx, "kept", 32<<20); err != nil {
		t.Fatal(err)
	}
	if err := <-published; err != nil {
		t.Errorf("with more room: %v", err)
	}
	if err := c.Enlarge(ctx, "kept", 1<<20); err != nil {
		t.Fatal(err)
	}
	if i, err := c.ChunkStream(ctx, "kept"); err != nil || i.MaxBytes != 32<<20 {
		t.Errorf("the buffer was made smaller: %+v, %v", i, err)
	}
}
