package pipeline

import (
	"errors"
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
