package stages_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

// gate lets bytes pass up to a mark, and the rest when it is opened.
type gate struct {
	passed atomic.Int64
	limit  atomic.Int64
}

func newGate(limit int64) *gate {
	g := &gate{}
	g.limit.Store(limit)
	return g
}

func (g *gate) pass(ctx context.Context, n int) error {
	for g.passed.Load()+int64(n) > g.limit.Load() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
	g.passed.Add(int64(n))
	return nil
}

func (g *gate) open() { g.limit.Store(1 << 60) }

// reached waits until so much has passed.
func (g *gate) reached(t *testing.T, n int64) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); g.passed.Load() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d bytes were read within 2 minutes", g.passed.Load(), n)
		}
	}
}

// share lets a part of the session's bytes pass, in percent.
func share(r *rig, g *gate, percent int64) (total int64) {
	st := r.wait("a session", func(st pipeline.State) bool { return len(st.Sessions) > 0 })
	for _, s := range st.Sessions[0].Started.Tablespaces {
		total += s.SizeKB * 1024
	}
	g.limit.Store(total * percent / 100)
	return total
}

// indexed waits until what has passed a gate is in the index of what JetStream confirmed, but for the last messages, which a reader that is held back
// has not filled.
func (r *rig) indexed(g *gate) {
	r.t.Helper()
	const unfilled = 2 << 20
	last, since := int64(-1), time.Now()
	for {
		n := r.inIndex()
		if n >= g.passed.Load()-unfilled {
			return
		}
		if n != last {
			last, since = n, time.Now()
		} else if time.Since(since) > 3*time.Second {
			return // the rest is in messages that are not full
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.ctx.Done():
			r.t.Fatalf("waiting for %d bytes in the index, %d are in it: %v", g.passed.Load(), n, context.Cause(r.ctx))
		}
	}
}

// inIndex is the number of bytes of files that JetStream confirmed.
func (r *rig) inIndex() (n int64) {
	r.t.Helper()
	var chunks []messages.PartChunk
	err := r.client.Index(r.ctx, r.id, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var rec messages.Record
		for {
			err := rd.Next(&rec)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if rec.Kind != messages.KindPart || rec.Tree == messages.TreeWAL {
				continue
			}
			if chunks, err = rec.PartChunks(chunks[:0]); err != nil {
				return err
			}
			for _, c := range chunks {
				n += int64(c.Len)
			}
		}
	})
	if err != nil {
		r.t.Fatalf("reading the index: %v", err)
	}
	return n
}
