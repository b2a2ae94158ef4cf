package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
)

// beside keeps the payloads of data messages in memory, beside an embedded server of the same process: JetStream stores, orders, delivers and
// has acknowledged a short reference in place of each. A payload that went through the server would be copied eight times and written and read
// once more, for nothing: when this process dies, the session with the source dies with it, and what its references stood for is read again.
//
// It serves one consumer, which takes a payload for good when it has been put where it belongs. References of a process that died lead
// nowhere: they are acknowledged unseen, and whoever proves the target complete finds what is missing, as after any loss in JetStream. Some of the payloads may
// have been written nevertheless, and nothing else may tell of them: a reference ends with a trace of what its payload changes.
type beside struct {
	run   [16]byte // of this process
	limit int64

	mu   sync.Mutex
	room sync.Cond
	held map[uint64][]byte
	used int64 // bytes, by capacity
	last uint64
}

// A reference is the magic, the process that made it, a number, and a trace of the payload's records. Records begin otherwise (messages/record.go).
const referenceSize = 4 + 16 + 8

var referenceMagic = []byte("PCR1")

func newBeside(limit int64) *beside {
	b := &beside{limit: limit, held: map[uint64][]byte{}}
	b.room.L = &b.mu
	_, _ = rand.Read(b.run[:]) // never fails
	return b
}

func isReference(data []byte) bool {
	return len(data) >= referenceSize && bytes.HasPrefix(data, referenceMagic)
}

// put takes a payload over and returns its reference. It blocks while too many bytes are held.
func (b *beside) put(ctx context.Context, buf []byte) (id uint64, ref []byte, err error) {
	n := int64(cap(buf))
	ref = append(append(make([]byte, 0, 1024), referenceMagic...), b.run[:]...)
	if ref, err = messages.AppendTrace(ref[:referenceSize], buf); err != nil {
		return 0, nil, fmt.Errorf("a message of file data: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > 0 && b.used+n > b.limit {
		stop := context.AfterFunc(ctx, func() {
			b.mu.Lock()
			b.room.Broadcast()
			b.mu.Unlock()
		})
		defer stop()
		for b.used > 0 && b.used+n > b.limit {
			if ctx.Err() != nil {
				return 0, nil, context.Cause(ctx)
			}
			b.room.Wait()
		}
	}
	b.last++
	b.held[b.last] = buf
	b.used += n
	binary.BigEndian.PutUint64(ref[20:], b.last)
	return b.last, ref, nil
}

// get returns the payload that a reference stands for; false when it is not there any more.
func (b *beside) get(ref []byte) (id uint64, buf []byte, ok bool) {
	if b == nil || !bytes.Equal(ref[4:20], b.run[:]) {
		return 0, nil, false
	}
	id = binary.BigEndian.Uint64(ref[20:referenceSize])
	b.mu.Lock()
	defer b.mu.Unlock()
	buf, ok = b.held[id]
	return id, buf, ok
}

// drop gives a payload up and returns it, nil when it was given up before.
func (b *beside) drop(id uint64) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	buf, ok := b.held[id]
	if ok {
		delete(b.held, id)
		b.used -= int64(cap(buf))
		b.room.Broadcast()
	}
	return buf
}

// Touched calls fn for each record that processes of a backup had in memory when they died, and that no target has acknowledged: it may have been
// applied, in part too, or not. Its payload is gone. It is for the process that goes on, before it consumes.
func (c *Client) Touched(ctx context.Context, id string, fn func(*messages.Record)) error {
	var s jetstream.Stream
	err := c.try(ctx, func(ctx context.Context) (err error) {
		s, err = c.js.Stream(ctx, chunkStream+id)
		return err
	})
	if isGone(err) {
		return nil // the backup is over
	}
	if err != nil {
		return c.streamError(chunkStream+id, err)
	}
	var rd messages.Reader
	for seq := max(s.CachedInfo().State.FirstSeq, 1); ; seq++ {
		var m *jetstream.RawStreamMsg
		err := c.try(ctx, func(ctx context.Context) (err error) {
			m, err = s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(chunkPrefix+id+"."+string(SubjectData)))
			return err
		})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return c.streamError(chunkStream+id, err)
		}
		if seq = m.Sequence; !isReference(m.Data) {
			continue
		}
		rd.Reset(m.Data[referenceSize:])
		for {
			var r messages.Record
			if err := rd.Next(&r); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("message %d of stream %s is damaged: %w", seq, chunkStream+id, err)
			}
			fn(&r)
		}
	}
}
