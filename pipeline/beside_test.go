package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"polarcast/messages"
)

// records is a message of file data with a number: a chunk of n bytes, and a file without any.
func records(p *Publisher, number, n int) []byte {
	r := messages.Record{Session: 1, Path: fmt.Sprintf("base/%d", number), Offset: 8192, Size: 8192 + int64(n)}
	buf := messages.NewCompressor(messages.CodecNone, 0).AppendData(p.Buffer(), &r, bytes.Repeat([]byte{1}, n))
	return messages.AppendRecord(buf, &messages.Record{Kind: messages.KindSeal, Session: 1, Path: "standby.signal"})
}

// besides publishes such messages with the numbers [from, to).
func besides(t *testing.T, p *Publisher, from, to, n int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := p.Publish(testContext(t), SubjectData, records(p, i, n), nil); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// recorded is the number of a message, also of one that was not made by records.
func recorded(m *Message) int {
	var r messages.Record
	if err := messages.NewReader(m.Data()).Next(&r); err != nil {
		return number(m)
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(r.Path, "base/"))
	return n
}

// TestPayloadsBesideTheServer publishes file data and WAL with an embedded server: only the WAL is in the stream, and all arrives.
func TestPayloadsBesideTheServer(t *testing.T) {
	const size = 200 << 10
	c := connect(t, ClientOptions{Server: startServer(t, ServerOptions{}), Beside: 4 * bufferSize})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"main"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	besides(t, p, 0, 3, size)
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
		if len(m.Data()) < size || recorded(m) != want {
			t.Fatalf("message %d has %d bytes and number %d", want, len(m.Data()), recorded(m))
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
	besides(t, p, 0, 2, 1000)
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, SubjectData, records(p, 2, 1000), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a third buffer where two fit: %v", err)
	}
	k := consumer(t, c, "b", "main", ConsumerOptions{})
	m := next(t, k)
	applied := make(chan struct{})
	go func() {
		defer close(applied)
		m.Applied()
	}()
	besides(t, p, 2, 3, 1000)
	<-applied
	ack(t, m)
	for want := 1; want < 3; want++ {
		m := next(t, k)
		if recorded(m) != want {
			t.Errorf("message %d came when %d was due", number(m), want)
		}
		ack(t, m)
	}
}

// TestPayloadsOfADeadProcess continues on the store of a process that died with payloads in memory: what is in the stream comes, what was
// beside it is acknowledged unseen. What of that may have been written is known.
func TestPayloadsOfADeadProcess(t *testing.T) {
	o := ServerOptions{StoreDir: t.TempDir()}
	s := startServer(t, o)
	c := connect(t, ClientOptions{Server: s, Beside: 4 * bufferSize})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"main"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	besides(t, p, 0, 2, 1000)
	if err := p.Publish(testContext(t), SubjectWAL, payload(p, 2, 1000), nil); err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	c.Close()
	s.Shutdown()

	c = connect(t, ClientOptions{Server: startServer(t, o), Beside: 4 * bufferSize})
	var touched []string
	if err := c.Touched(testContext(t), "b", func(r *messages.Record) {
		off, n := r.Touches()
		touched = append(touched, fmt.Sprintf("%s %d+%d", r.Path, off, n))
	}); err != nil {
		t.Fatal(err)
	}
	cut := fmt.Sprintf("standby.signal 0+%d", messages.Unbounded)
	if want := []string{"base/0 8192+1000", cut, "base/1 8192+1000", cut}; !slices.Equal(touched, want) {
		t.Errorf("the dead process may have written %q, want %q", touched, want)
	}
	p = c.ChunkPublisher("b", PublisherOptions{})
	besides(t, p, 3, 4, 1000) // has the same number in its process as one of those
	k := consumer(t, c, "b", "main", ConsumerOptions{})
	for _, want := range []int{2, 3} {
		m := next(t, k)
		if recorded(m) != want {
			t.Fatalf("message %d came, want %d", number(m), want)
		}
		ack(t, m)
	}
	eventually(t, "all is acknowledged", func() bool {
		l, err := c.TargetLag(testContext(t), "b", "main")
		return err == nil && l.Pending == 0 && l.AckPending == 0
	})
}
