package pipeline

import (
	"context"
	"net"
	"sync"
	"testing"

	"polarcast/messages"
)

// restartable is a server that listens, on the same port and store after a restart.
type restartable struct {
	t    *testing.T
	opts ServerOptions
	s    *Server
}

func newRestartable(t *testing.T) *restartable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := &restartable{t: t, opts: ServerOptions{StoreDir: t.TempDir(), Listen: addr}}
	r.start()
	t.Cleanup(func() { r.s.Shutdown() })
	return r
}

func (r *restartable) start() {
	r.t.Helper()
	s, err := StartServer(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.s = s
}

func (r *restartable) restart() {
	r.t.Helper()
	r.s.Shutdown()
	r.start()
}

func (r *restartable) client() *Client {
	r.t.Helper()
	return connect(r.t, ClientOptions{URLs: []string{"nats://" + r.opts.Listen}})
}

func TestServerRestartsWhileMessagesFlow(t *testing.T) {
	r := newRestartable(t)
	c, reader := r.client(), r.client()
	createBackup(t, c, "b", StreamOptions{MaxBytes: 8 << 20, Targets: []string{"n1"}})
	const n, size = 1500, 20 << 10
	p := c.ChunkPublisher("b", PublisherOptions{MaxBytesInFlight: 8 << 20})
	var mu sync.Mutex
	seqs := map[uint64]int{}
	go func() {
		for i := range n {
			if err := p.Publish(testContext(t), SubjectData, payload(p, i, size), func(seq uint64, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("message %d: %v", i, err)
				}
				if other, ok := seqs[seq]; ok {
					t.Errorf("messages %d and %d were confirmed at the same position %d", other, i, seq)
				}
				seqs[seq] = i
			}); err != nil {
				t.Errorf("message %d: %v", i, err)
				return
			}
		}
	}()
	k := consumer(t, reader, "b", "n1", ConsumerOptions{MaxBytesInFlight: 4 << 20})
	seen := map[int]int{}
	restarts := 0
	for len(seen) < n {
		m := next(t, k)
		seen[number(m)]++
		ack(t, m)
		if len(seen) > (restarts+1)*n/4 && restarts < 2 {
			restarts++
			r.restart()
		}
	}
	flush(t, p)
	mu.Lock()
	defer mu.Unlock()
	if len(seqs) != n {
		t.Errorf("%d of %d messages were confirmed", len(seqs), n)
	}
	for i := range n {
		if seen[i] == 0 {
			t.Errorf("message %d is lost", i)
		}
	}
}

func TestLogAndIndexGoOnAfterARestart(t *testing.T) {
	r := newRestartable(t)
	c := r.client()
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	got := make(chan byte, 100)
	go func() {
		err := c.Index(ctx, "b", 0, true, nil, func(_ uint64, _ Subject, data []byte) error {
			got <- data[0]
			return nil
		})
		if ctx.Err() == nil {
			t.Errorf("the index ended: %v", err)
		}
		close(got)
	}()
	p := c.IndexPublisher("b")
	waited := make(chan error, 1)
	go func() {
		_, err := c.Log("b").Wait(ctx, func(s State) (bool, error) { return s.Limits["last"] == 3, nil })
		waited <- err
	}()
	for i := range byte(3) {
		r.restart()
		if err := p.Publish(ctx, SubjectParts, append(p.Buffer(), i), nil); err != nil {
			t.Fatal(err)
		}
		select {
		case b := <-got:
			if b != i {
				t.Fatalf("index message %d came for %d", b, i)
			}
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
		ev := messages.NewEvent(messages.EventLimitChanged, messages.LimitChanged{Target: "last", BytesPerSecond: int64(i) + 1})
		if err := c.Log("b").Append(ctx, "test", "me", ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := c.Log("b").Events(ctx, 0, false, func(uint64, messages.Event) error { n++; return nil }); err != nil || n != 4 {
		t.Fatalf("%d events, want 4: %v", n, err)
	}
}
