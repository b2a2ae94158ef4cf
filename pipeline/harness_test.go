package pipeline

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"polarcast/messages"
)

// testContext ends well after anything that works is done, so that a test that hangs says where.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 4*time.Minute, fmt.Errorf("%s did not end", t.Name()))
	t.Cleanup(cancel)
	return ctx
}

func startServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := StartServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t testing.TB, o ClientOptions) *Client {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	c, err := Connect(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newClient is an embedded server with one client.
func newClient(t testing.TB) *Client {
	t.Helper()
	return connect(t, ClientOptions{Server: startServer(t, ServerOptions{})})
}

func createBackup(t testing.TB, c *Client, id string, o StreamOptions) {
	t.Helper()
	if err := c.CreateBackup(testContext(t), id, messages.Requested{Label: "test", Targets: o.Targets}, o); err != nil {
		t.Fatal(err)
	}
}

// payload is a message of n bytes with a number.
func payload(p *Publisher, number, n int) []byte {
	b := binary.LittleEndian.AppendUint64(p.Buffer(), uint64(number))
	return append(b, make([]byte, n-8)...)
}

func number(m *Message) int { return int(binary.LittleEndian.Uint64(m.Data())) }

// publish sends messages with the numbers [from, to).
func publish(t testing.TB, p *Publisher, from, to, n int) {
	t.Helper()
	ctx := testContext(t)
	for i := from; i < to; i++ {
		if err := p.Publish(ctx, SubjectData, payload(p, i, n), nil); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func flush(t testing.TB, p *Publisher) {
	t.Helper()
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func consumer(t testing.TB, c *Client, backup, target string, o ConsumerOptions) *Consumer {
	t.Helper()
	k, err := c.Consumer(testContext(t), backup, target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// next takes one message.
func next(t testing.TB, k *Consumer) *Message {
	t.Helper()
	m, err := k.Next(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ack(t testing.TB, m *Message) {
	t.Helper()
	if err := m.Ack(); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that has no event of its own.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
