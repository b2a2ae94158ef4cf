package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestEveryMessageIsConfirmedOnceAndArrives(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1", "n2"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	const n = 200
	var mu sync.Mutex
	seqs := map[uint64]bool{}
	for i := range n {
		err := p.Publish(testContext(t), SubjectData, payload(p, i, 1000+i), func(seq uint64, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seqs[seq] {
				t.Errorf("position %d: %v", seq, err)
			}
			seqs[seq] = true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	if len(seqs) != n || p.InFlight() != 0 {
		t.Fatalf("%d confirmations of %d, %d bytes in flight", len(seqs), n, p.InFlight())
	}
	for _, target := range []string{"n1", "n2"} {
		k := consumer(t, c, "b", target, ConsumerOptions{})
		for i := range n {
			m := next(t, k)
			if number(m) != i || len(m.Data()) != 1000+i || m.Redelivered() || m.Seq() != uint64(i+1) {
				t.Fatalf("%s: message %d is number %d of %d bytes at %d", target, i, number(m), len(m.Data()), m.Seq())
			}
			ack(t, m)
		}
		if err := k.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if lag, err := k.Lag(testContext(t)); err != nil || lag.Pending != 0 || lag.AckPending != 0 || lag.AckFloor != n {
			t.Fatalf("%s: lag %+v, %v", target, lag, err)
		}
	}
	eventually(t, "a message that all targets have acknowledged is deleted", func() bool {
		i, err := c.ChunkStream(testContext(t), "b")
		return err == nil && i.Messages == 0 && i.LastSeq == n
	})
}

func TestFullStreamHoldsPublishersBackAndLosesNothing(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{MaxBytes: 2 << 20, Targets: []string{"n1"}})
	const n, size = 300, 100 << 10
	p := c.ChunkPublisher("b", PublisherOptions{MaxBytesInFlight: 4 << 20})
	var confirmed atomic.Int64
	go func() {
		for i := range n {
			if err := p.Publish(testContext(t), SubjectData, payload(p, i, size), func(uint64, error) { confirmed.Add(1) }); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	eventually(t, "the publisher says that it waits", p.Waiting)
	i, err := c.ChunkStream(testContext(t), "b")
	if err != nil || i.Bytes > 2<<20 || i.FirstSeq != 1 {
		t.Fatalf("stream %+v, %v", i, err)
	}
	if got := confirmed.Load(); got >= n/2 {
		t.Fatalf("%d messages of %d bytes were confirmed by a stream of 2 MiB", got, size)
	}
	k := consumer(t, c, "b", "n1", ConsumerOptions{})
	seen := map[int]bool{}
	for len(seen) < n {
		m := next(t, k)
		if seen[number(m)] {
			t.Fatalf("message %d came twice", number(m))
		}
		seen[number(m)] = true
		ack(t, m)
	}
	flush(t, p)
	if p.Waiting() {
		t.Error("still waiting")
	}
}

func TestBytesInFlightAreBounded(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{MaxBytes: 1 << 20, Targets: []string{"n1"}})
	p := c.ChunkPublisher("b", PublisherOptions{MaxBytesInFlight: 3 * bufferSize})
	ctx, cancel := context.WithCancelCause(testContext(t))
	over := errors.New("enough")
	eventually(t, "the stream is full", func() bool {
		if p.InFlight() > 3*bufferSize {
			t.Fatalf("%d bytes in flight", p.InFlight())
		}
		if p.Waiting() {
			return true
		}
		if p.InFlight() <= 2*bufferSize {
			publish(t, p, 0, 1, 200<<10)
		}
		return false
	})
	blocked := make(chan error, 4)
	for range 4 {
		go func() { blocked <- p.Publish(ctx, SubjectData, payload(p, 1, 200<<10), nil) }()
	}
	eventually(t, "the bound is reached", func() bool { return p.InFlight() >= 3*bufferSize })
	cancel(over)
	failed := 0
	for range 4 {
		if err := <-blocked; errors.Is(err, over) {
			failed++
		} else if err != nil {
			t.Errorf("unexpected: %v", err)
		}
	}
	if failed == 0 {
		t.Error("nobody had to wait")
	}
	if p.InFlight() > 3*bufferSize {
		t.Errorf("%d bytes in flight", p.InFlight())
	}
}

func TestOneHundredTwentyEightMegabytesQueuedLoseNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes 400 MB")
	}
	s := startServer(t, ServerOptions{})
	c := connect(t, ClientOptions{Server: s})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	// Far more in flight than JetStream queues for one stream, from several connections: it answers 10167, or nothing.
	const publishers, each = 4, 200
	var wg sync.WaitGroup
	for i := range publishers {
		pc := connect(t, ClientOptions{Server: s})
		wg.Add(1)
		go func() {
			defer wg.Done()
			p := pc.ChunkPublisher("b", PublisherOptions{MaxBytesInFlight: 256 << 20})
			publish(t, p, i*each, (i+1)*each, 500<<10)
			if err := p.Flush(testContext(t)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if i, err := c.ChunkStream(testContext(t), "b"); err != nil || i.Messages != publishers*each {
		t.Fatalf("%d messages of %d: %v", i.Messages, publishers*each, err)
	}
}
