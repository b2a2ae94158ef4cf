package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// heartbeat is how often held messages are given a sign of life; three of them fit into ackWait.
const heartbeat = 3 * time.Second

// What is published to a message's reply subject (nats-server, server/consumer.go).
var (
	ackYes  = []byte("+ACK")
	ackNo   = []byte("-NAK")
	ackWork = []byte("+WPI")
)

// Message is one message that this process holds until it acknowledges it or gives it back.
type Message struct {
	k     *Consumer
	reply string
	data  []byte
	size  int // bytes, as JetStream counts them
	seq   uint64
	re    bool
	at    time.Time // of the last sign of life

	beside uint64 // the payload's number when it is kept beside the server, else 0
}

// Data is the message's payload, until Applied. It must not be changed.
func (m *Message) Data() []byte { return m.data }

// Held is how many bytes the message counts for in what the consumer holds, until it is acknowledged.
func (m *Message) Held() int { return m.size }

// Applied says that the payload is where it belongs, though not durable yet: its memory is used again, while the message stays held.
func (m *Message) Applied() {
	if m.beside != 0 {
		if buf := m.k.c.beside.drop(m.beside); buf != nil {
			releaseBuffer(buf)
		}
	}
	m.data = nil
}

// Seq is the message's position in the stream.
func (m *Message) Seq() uint64 { return m.seq }

// Redelivered reports whether the message was delivered before, to this process or another.
func (m *Message) Redelivered() bool { return m.re }

// Ack gives the message up for good. What it says must be durable. An acknowledgement that is lost on the way means a second delivery.
func (m *Message) Ack() error {
	if !m.release(true) {
		return nil
	}
	if m.data != nil {
		m.Applied()
	}
	return m.answer(ackYes)
}

// Nak gives the message back, for this process or another.
func (m *Message) Nak() error {
	if !m.release(false) {
		return nil
	}
	return m.answer(ackNo)
}

func (m *Message) answer(what []byte) error {
	err := m.k.c.nc.Publish(m.reply, what)
	// Without a connection JetStream delivers the message again, which is harmless.
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !isPassing(err) {
		return fmt.Errorf("could not acknowledge message %d of stream %s: %w", m.seq, m.k.stream, err)
	}
	return nil
}

// release takes the message out of what is held; false when it is not held any more.
func (m *Message) release(acked bool) bool {
	k := m.k
	k.mu.Lock()
	ok := k.held[m.seq] == m
	if ok {
		delete(k.held, m.seq)
	}
	if ok && acked {
		k.lastAck = m.reply
	}
	k.mu.Unlock()
	if ok {
		k.puller.release(m.size)
	}
	return ok
}

// beat tells JetStream that held messages are being worked on.
func (k *Consumer) beat(ctx context.Context) {
	t := time.NewTicker(heartbeat / 3)
	defer t.Stop()
	var old []string
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := time.Now()
		old = old[:0]
		k.mu.Lock()
		for _, m := range k.held {
			if now.Sub(m.at) >= heartbeat {
				m.at = now
				old = append(old, m.reply)
			}
		}
		k.mu.Unlock()
		for _, reply := range old {
			_ = k.c.nc.Publish(reply, ackWork) // a lost sign of life means a second delivery, which is harmless
		}
	}
}
