package pipeline

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestPayloadsBesideTheServer publishes file data and WAL with an embedded server: only the WAL is in the stream, and all arrives.
func TestPayloadsBesideTheServer(t *testing.T) {
	const size = 200 << 10
	c := connect(t, ClientOptions{Server: startServer(t, ServerOptions{}), Beside: 4 * bufferSize})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"main"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 3, size)
	if err := p.Publish(testContext(t), SubjectWAL, payload(p, 3, size), nil); err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	if i, err := c.ChunkStream(testContext(t), "b"); err != nil || i.Messages != 4 || i.Bytes < size || i.Bytes > 2*size {
		t.Fatalf("the stream has %+v, %v; want one payload and three references", i, err)
	}
	k := consumer(t, c, "b", "main", ConsumerOptions{})
	for want := range 4 {
		m := next(t, k)
		if len(m.Data()) != size || number(m) != want {
			t.Fatalf("message %d has %d bytes and number %d", want, len(m.Data()), number(m))
		}
		m.Applied()
		if m.Data() != nil {
			t.Error("an applied message still has its payload")
		}
		ack(t, m)
	}
	if c.beside.used != 0 || len(c.beside.held) != 0 {
		t.Errorf("%d bytes of %d payloads are held at the end", c.beside.used, len(c.beside.held))
	}
}

// TestMemoryBesideTheServerIsBounded has a reader wait for the writer.
func TestMemoryBesideTheServerIsBounded(t *testing.T) {
	c := connect(t, ClientOptions{Server: startServer(t, ServerOptions{}), Beside: 2 * bufferSize})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"main"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 2, 1000)
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, SubjectData, payload(p, 2, 1000), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a third buffer where two fit: %v", err)
	}
	k := consumer(t, c, "b", "main", ConsumerOptions{})
	m := next(t, k)
	applied := make(chan struct{})
	go func() {
		defer close(applied)
		m.Applied()
	}()
	publish(t, p, 2, 3, 1000)
	<-applied
	ack(t, m)
	for want := 1; want < 3; want++ {
		m := next(t, k)
		if number(m) != want {
			t.Errorf("message %d came when %d was due", number(m), want)
		}
		ack(t, m)
	}
}

// TestPayloadsOfADeadProcess continues on the store of a process that died with payloads in memory: what is in the stream comes, what was
// beside it is acknowledged unseen.
func TestPayloadsOfADeadProcess(t *testing.T) {
	o := ServerOptions{StoreDir: t.TempDir()}
	s := startServer(t, o)
	c := connect(t, ClientOptions{Server: s, Beside: 4 * bufferSize})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"main"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 2, 1000)
	if err := p.Publish(testContext(t), SubjectWAL, payload(p, 2, 1000), nil); err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	c.Close()
	s.Shutdown()

	c = connect(t, ClientOptions{Server: startServer(t, o), Beside: 4 * bufferSize})
	p = c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 3, 4, 1000) // has the same number in its process as one of those
	k := consumer(t, c, "b", "main", ConsumerOptions{})
	for _, want := range []int{2, 3} {
		m := next(t, k)
		if number(m) != want {
			t.Fatalf("message %d came, want %d", number(m), want)
		}
		ack(t, m)
	}
	eventually(t, "all is acknowledged", func() bool {
		l, err := c.TargetLag(testContext(t), "b", "main")
		return err == nil && l.Pending == 0 && l.AckPending == 0
	})
}
