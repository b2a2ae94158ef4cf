package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestWhatADeadConsumerHeldIsDeliveredAgain(t *testing.T) {
	s := startServer(t, ServerOptions{})
	c, dying := connect(t, ClientOptions{Server: s}), connect(t, ClientOptions{Server: s})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 10, 1000)
	flush(t, p)
	dead := consumer(t, dying, "b", "n1", ConsumerOptions{})
	for range 10 {
		m := next(t, dead)
		if number(m) < 3 {
			ack(t, m)
		}
	}
	if err := dead.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	dying.Close() // like kill -9: nothing is given back
	k := consumer(t, c, "b", "n1", ConsumerOptions{})
	seen := map[int]bool{}
	for len(seen) < 7 {
		m := next(t, k)
		if number(m) < 3 || !m.Redelivered() {
			t.Fatalf("message %d, redelivered %v", number(m), m.Redelivered())
		}
		seen[number(m)] = true
		ack(t, m)
	}
}

func TestCloseGivesBackAtOnce(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 50, 1000)
	flush(t, p)
	first := consumer(t, c, "b", "n1", ConsumerOptions{})
	for range 20 {
		next(t, first)
	}
	first.Close()
	if _, err := first.Next(testContext(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
	// Given back, and not only run out: nothing is pending an acknowledgement well before ackWait.
	k := consumer(t, c, "b", "n1", ConsumerOptions{})
	seen := map[int]bool{}
	for len(seen) < 50 {
		m := next(t, k)
		if seen[number(m)] {
			t.Fatalf("message %d came twice", number(m))
		}
		seen[number(m)] = true
	}
}

func TestHeldMessagesAreNotDeliveredToAnother(t *testing.T) {
	if testing.Short() {
		t.Skip("lasts longer than ackWait")
	}
	s := startServer(t, ServerOptions{})
	c := connect(t, ClientOptions{Server: s})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 20, 1000)
	flush(t, p)
	slow := consumer(t, c, "b", "n1", ConsumerOptions{})
	var held []*Message
	held = append(held, next(t, slow)) // the others are held too, although nobody took them
	other := consumer(t, connect(t, ClientOptions{Server: s}), "b", "n1", ConsumerOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), ackWait+heartbeat)
	defer cancel()
	if m, err := other.Next(ctx); err == nil {
		t.Fatalf("message %d was delivered to another while it was held", number(m))
	}
	for len(held) < 20 {
		held = append(held, next(t, slow))
	}
	for _, m := range held {
		if m.Redelivered() {
			t.Fatalf("message %d was delivered twice", number(m))
		}
		ack(t, m)
	}
}

func TestBytesThatAConsumerHoldsAreBounded(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	const n, size, limit = 100, 200 << 10, 4 << 20
	publish(t, p, 0, n, size)
	flush(t, p)
	k := consumer(t, c, "b", "n1", ConsumerOptions{MaxBytesInFlight: limit})
	for i := range n {
		m := next(t, k)
		k.mu.Lock()
		held := len(k.held)
		k.mu.Unlock()
		if held*size > limit {
			t.Fatalf("%d messages of %d bytes are held, the limit is %d", held, size, limit)
		}
		if number(m) != i {
			t.Fatalf("message %d came for %d", number(m), i)
		}
		ack(t, m)
	}
}

func TestMessageLargerThanTheRoomStillComes(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 12, 1<<20-1000) // as large as the server takes
	flush(t, p)
	k := consumer(t, c, "b", "n1", ConsumerOptions{MaxBytesInFlight: 1})
	for range 12 {
		ack(t, next(t, k))
	}
}

func TestCompetingConsumersShareMessages(t *testing.T) {
	s := startServer(t, ServerOptions{})
	c := connect(t, ClientOptions{Server: s})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	type got struct {
		worker int
		m      *Message
		err    error
	}
	ch := make(chan got)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	for w := range 3 {
		k := consumer(t, connect(t, ClientOptions{Server: s}), "b", "n1", ConsumerOptions{MaxMessages: 4})
		go func() {
			for ctx.Err() == nil {
				m, err := k.Next(ctx)
				select {
				case ch <- got{w, m, err}:
				case <-ctx.Done():
				}
			}
		}()
	}
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 300, 500)
	seen, workers := map[int]bool{}, map[int]int{}
	for len(seen) < 300 {
		g := <-ch
		if g.err != nil {
			t.Fatal(g.err)
		}
		if seen[number(g.m)] {
			t.Fatalf("message %d went to two", number(g.m))
		}
		seen[number(g.m)] = true
		workers[g.worker]++
		ack(t, g.m)
	}
	if len(workers) != 3 {
		t.Errorf("messages by worker: %v", workers)
	}
}

func TestConsumerOfARemovedTargetEnds(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1", "n2"}})
	k := consumer(t, c, "b", "n1", ConsumerOptions{})
	if err := c.RemoveTarget(testContext(t), "b", "n1"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Next(testContext(t)); err == nil || !strings.Contains(err.Error(), `target "n1" of backup "b" was dropped`) {
		t.Fatalf("error: %v", err)
	}
	if _, err := c.Consumer(testContext(t), "b", "n1", ConsumerOptions{}); err == nil || !strings.Contains(err.Error(), `has no target "n1"`) {
		t.Fatalf("error: %v", err)
	}
}

func TestConsumerOfARemovedStreamEnds(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	k := consumer(t, c, "b", "n1", ConsumerOptions{})
	if err := c.DropStreams(testContext(t), "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Next(testContext(t)); err == nil {
		t.Fatal("no error")
	}
	if _, err := c.Consumer(testContext(t), "b", "n1", ConsumerOptions{}); !errors.Is(err, ErrNoStream) {
		t.Fatalf("error: %v", err)
	}
}

func TestPullGoesOnAfterTheServerForgot(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	k := consumer(t, c, "b", "n1", ConsumerOptions{})
	// The server says that the consumer has a new leader: all requests are void.
	h := nats.Header{"Status": []string{"409"}, "Description": []string{"Leadership Change"}}
	k.puller.message(&nats.Msg{Subject: k.puller.inbox + ".1", Header: h})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 5, 100)
	for range 5 {
		ack(t, next(t, k))
	}
}
