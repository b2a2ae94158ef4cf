package pipeline

import (
	"context"
	"strings"
	"testing"
	"time"
)

// take returns n messages of a target.
func take(t *testing.T, k *Consumer, n int) []*Message {
	t.Helper()
	// Well before ackWait, after which everything comes anyway.
	ctx, cancel := context.WithTimeout(testContext(t), ackWait*2/3)
	defer cancel()
	var ms []*Message
	seen := map[uint64]bool{}
	for range n {
		m, err := k.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d messages: %v", len(ms), n, err)
		}
		if seen[m.Seq()] {
			t.Errorf("message %d came twice", m.Seq())
		}
		seen[m.Seq()] = true
		ms = append(ms, m)
	}
	return ms
}

func consume(t *testing.T, c *Client) *Consumer {
	t.Helper()
	k, err := c.Consumer(testContext(t), "b", "a", ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatADeadProcessHeldIsDeliveredAtOnce(t *testing.T) {
	s := startServer(t, ServerOptions{})
	c := connect(t, ClientOptions{Server: s})
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"a"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 10, 1000)
	flush(t, p)
	alive := func(string) bool { return false }

	first := connect(t, ClientOptions{Server: s})
	first.ShareTarget(ctx, "b", "a", "first.of all", alive)
	take(t, consume(t, first), 10)
	first.Close() // as if it was killed: nothing is given back

	dead := func(i string) bool { return strings.HasPrefix(i, "first") }
	second := connect(t, ClientOptions{Server: s})
	second.ShareTarget(ctx, "b", "a", "second", dead)
	k := consume(t, second)
	for _, m := range take(t, k, 10) {
		if !m.Redelivered() {
			t.Errorf("message %d was not delivered before", m.Seq())
		}
	}

	// One that dies while another one lives.
	third := connect(t, ClientOptions{Server: s})
	diesLater := make(chan struct{})
	leave := third.ShareTarget(ctx, "b", "a", "third", func(i string) bool {
		select {
		case <-diesLater:
			return i == "second"
		default:
			return false
		}
	})
	k3 := consume(t, third)
	second.Close()
	close(diesLater)
	for _, m := range take(t, k3, 10) {
		if err := m.Ack(); err != nil {
			t.Error(err)
		}
	}
	if err := k3.Flush(ctx); err != nil {
		t.Error(err)
	}
	leave()

	// Nothing is left of it: not in the list, and not in the consumer.
	cons, err := c.js.Consumer(ctx, chunkStream+"b", consumerName("a"))
	if err != nil {
		t.Fatal(err)
	}
	if i := cons.CachedInfo(); i.Config.AckWait != ackWait || i.NumAckPending != 0 {
		t.Errorf("the consumer has AckWait %v and %d messages pending", i.Config.AckWait, i.NumAckPending)
	}
	kv, err := c.leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := kv.Keys(ctx); err == nil && len(keys) > 0 {
		t.Errorf("left in the bucket: %v", keys)
	}
}

func TestWhatWasOnItsWayToABrokenConnectionIsDeliveredAtOnce(t *testing.T) {
	s := startServer(t, ServerOptions{})
	c := connect(t, ClientOptions{Server: s})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"a"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 10, 1000)
	flush(t, p)
	lost := connect(t, ClientOptions{Server: s})
	take(t, consume(t, lost), 10)
	lost.Close() // for JetStream nobody can be told apart: these could be messages that never arrived
	k := consume(t, c)
	if err := c.nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	take(t, k, 10)
}

func TestAConsumerThatWasLeftImpatientIsMended(t *testing.T) {
	c := newClient(t)
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"a"}})
	cons, err := c.js.Consumer(ctx, chunkStream+"b", consumerName("a"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := cons.CachedInfo().Config
	cfg.AckWait = 10 * time.Millisecond // whoever set it was killed before it was set back
	if _, err := c.js.UpdateConsumer(ctx, chunkStream+"b", cfg); err != nil {
		t.Fatal(err)
	}
	consume(t, c).Close()
	if cons, err = c.js.Consumer(ctx, chunkStream+"b", consumerName("a")); err != nil || cons.CachedInfo().Config.AckWait != ackWait {
		t.Errorf("AckWait is %v, %v", cons.CachedInfo().Config.AckWait, err)
	}
}

func TestNothingIsWrittenOfABackupThatWasRemoved(t *testing.T) {
	c := newClient(t)
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"a"}})
	leave := c.ShareTarget(ctx, "b", "a", "me", func(string) bool { return false })
	if err := c.RemoveBackup(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	leave()
	s, err := c.js.Stream(ctx, "KV_"+leaseBucket)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestTakingOverWhenTargetsOrStreamsAreGone(t *testing.T) {
	c := newClient(t)
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"a", "gone"}})
	if err := c.RemoveTarget(ctx, "b", "gone"); err != nil {
		t.Fatal(err)
	}
	if err := c.TakeOver(ctx, "b"); err != nil {
		t.Error(err)
	}
	if err := c.DropStreams(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if err := c.TakeOver(ctx, "b"); err != nil {
		t.Error(err)
	}
}
