package feed

import (
	"context"
	"sync"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

const (
	// indexBytes is how many confirmed bytes of files may be missing in the index: what a killed process had published beyond it is sent and
	// written again.
	indexBytes = 4 << 20
	// indexMessage is the size at which an index message is sent.
	indexMessage = 128 << 10
)

// ledger keeps what was published but not yet confirmed, in order, and moves it to the index once it is.
type ledger struct {
	f *Feed

	mu      sync.Mutex
	drained sync.Cond
	queue   []*entry

	out      []byte
	outSeals []seal
	outMarks []func()
	part     messages.Record // open part; Path empty when none
	chunks   []messages.PartChunk
	bytes    int64 // of files, in out and in the open part
	flushed  time.Time
	armed    bool // a timer will flush

	ready   []*indexBatch // complete index messages that run has to publish
	sent    []*indexBatch // published, not confirmed in order yet
	sending bool
	closing bool
	done    chan struct{}
}

// indexBatch is one index message, with what its seals say, and who waits for it and all before it.
type indexBatch struct {
	buf       []byte
	seals     []seal
	marks     []func()
	confirmed bool
}

// entry is what one job adds to the index.
type entry struct {
	l         *ledger
	ops       []op
	confirmed bool
	seq       uint64
}

type op struct {
	kind   itemKind
	rec    messages.Record
	offset int64
	chunk  messages.PartChunk
	mark   func()
}

type seal struct {
	size int64
	hash [16]byte
}

func newLedger(f *Feed) *ledger {
	l := &ledger{f: f, flushed: time.Now(), done: make(chan struct{})}
	l.drained.L = &l.mu
	go l.run()
	return l
}

// open adds an entry at the end of the queue. Only the sequencer calls it.
func (l *ledger) open() *entry {
	e := &entry{l: l}
	l.mu.Lock()
	l.queue = append(l.queue, e)
	l.mu.Unlock()
	return e
}

func (e *entry) chunk(it *item, n int) {
	e.ops = append(e.ops, op{kind: itemChunk, rec: it.file.rec, offset: it.offset,
		chunk: messages.PartChunk{Hash: it.hash, CRC: it.crc, Len: uint32(n), Published: !it.unchanged, Kept: it.kept > 0}})
}

// seal adds a seal; a digest that the manifest wants travels as its payload, in the index only.
func (e *entry) seal(it *item, crc uint32, digest []byte) {
	rec := it.file.rec
	rec.Payload = digest
	rec.Kind, rec.Size, rec.Offset, rec.CRC = messages.KindSeal, it.size, it.offset, crc
	if it.file.split {
		rec.Flags |= messages.FlagSplit
	}
	e.ops = append(e.ops, op{kind: itemSeal, rec: rec})
}

func (e *entry) record(rec messages.Record) {
	e.ops = append(e.ops, op{kind: itemRecord, rec: rec})
}

// confirm is called once, by the publisher, when JetStream holds the entry's message or never will.
func (e *entry) confirm(seq uint64, err error) {
	if err != nil {
		e.l.f.cancel(err)
		e.l.wake()
		return
	}
	l := e.l
	l.mu.Lock()
	defer l.mu.Unlock()
	e.confirmed, e.seq = true, seq
	for len(l.queue) > 0 && l.queue[0].confirmed {
		l.move(l.queue[0])
		l.queue[0] = nil
		l.queue = l.queue[1:]
	}
	if len(l.queue) == 0 {
		l.queue = nil
		l.drained.Broadcast()
	}
	if len(l.out) == 0 && len(l.chunks) == 0 {
		return
	}
	if time.Since(l.flushed) > indexFlushInterval {
		l.flush()
	} else if !l.armed {
		// Reading may pause: what is confirmed gets into the index all the same.
		l.armed = true
		time.AfterFunc(indexFlushInterval, func() {
			l.mu.Lock()
			l.armed = false
			l.flush()
			l.mu.Unlock()
		})
	}
}

func (l *ledger) wake() {
	l.mu.Lock()
	l.drained.Broadcast()
	l.mu.Unlock()
}

// move adds a confirmed entry to the index message that is being built.
func (l *ledger) move(e *entry) {
	var confirmed int64
	defer func() {
		l.f.count(func(t *Totals) {
			t.ChunkSeq = max(t.ChunkSeq, e.seq)
			t.ConfirmedBytes += confirmed
		})
	}()
	for i := range e.ops {
		o := &e.ops[i]
		switch o.kind {
		case itemChunk:
			next := l.part.Offset + l.partLen()
			if l.part.Path != o.rec.Path || l.part.Tree != o.rec.Tree || next != o.offset {
				l.closePart()
				l.part = o.rec
				l.part.Kind, l.part.Offset = messages.KindPart, o.offset
			}
			l.chunks = append(l.chunks, o.chunk)
			l.bytes += int64(o.chunk.Len)
			confirmed += int64(o.chunk.Len)
		case itemSeal:
			l.closePart()
			at := len(l.out)
			l.out = messages.AppendRecord(l.out, &o.rec)
			l.outSeals = append(l.outSeals, seal{size: o.rec.Size, hash: messages.Hash128(l.out[at:])})
		case itemRecord:
			l.closePart()
			l.out = messages.AppendRecord(l.out, &o.rec)
		case itemMark:
			l.outMarks = append(l.outMarks, o.mark)
			l.flush()
		}
		if len(l.out) >= indexMessage || l.bytes >= indexBytes {
			l.flush()
		}
	}
}

func (l *ledger) partLen() int64 {
	var n int64
	for i := range l.chunks {
		n += int64(l.chunks[i].Len)
	}
	return n
}

func (l *ledger) closePart() {
	if len(l.chunks) == 0 {
		return
	}
	l.out = messages.AppendPart(l.out, &l.part, l.chunks)
	l.chunks = l.chunks[:0]
	l.part = messages.Record{}
}

// flush hands the index message that is being built to run. The ledger's lock is held: publishing may block, and must not do so here, where
// the publisher's confirmations come in.
func (l *ledger) flush() {
	l.closePart()
	l.flushed, l.bytes = time.Now(), 0
	if len(l.out) == 0 && len(l.outMarks) == 0 {
		return
	}
	l.ready = append(l.ready, &indexBatch{buf: l.out, seals: l.outSeals, marks: l.outMarks})
	l.out, l.outSeals, l.outMarks = nil, nil, nil
	l.drained.Broadcast()
}

// run publishes index messages until the ledger is closed or the feed ends.
func (l *ledger) run() {
	defer close(l.done)
	stop := context.AfterFunc(l.f.ctx, l.wake)
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.f.ctx.Err() == nil {
		if len(l.ready) == 0 {
			if l.closing {
				return
			}
			l.drained.Wait()
			continue
		}
		b := l.ready[0]
		l.ready = l.ready[1:]
		l.sent = append(l.sent, b)
		l.sending = true
		l.mu.Unlock()
		err := l.publish(b)
		l.mu.Lock()
		l.sending = false
		l.drained.Broadcast()
		if err != nil {
			l.f.cancel(err)
			return
		}
	}
}

func (l *ledger) publish(b *indexBatch) error {
	if len(b.buf) == 0 {
		l.confirmed(b)
		return nil
	}
	if err := l.f.alive(); err != nil {
		return err
	}
	buf := append(l.f.index.Buffer(), b.buf...)
	return l.f.index.Publish(l.f.ctx, pipeline.SubjectParts, buf, func(seq uint64, err error) {
		if err != nil {
			l.f.cancel(err)
			return
		}
		l.f.count(func(t *Totals) {
			t.IndexSeq = max(t.IndexSeq, seq)
			for _, s := range b.seals {
				t.Sealed++
				t.SealedSize += s.size
				for i := range s.hash {
					t.SealDigest[i] ^= s.hash[i]
				}
			}
		})
		l.confirmed(b)
	})
}

// confirmed calls the marks of all messages up to the first that is not confirmed: confirmations may come in any order.
func (l *ledger) confirmed(b *indexBatch) {
	var marks []func()
	l.mu.Lock()
	b.confirmed, b.buf = true, nil
	for len(l.sent) > 0 && l.sent[0].confirmed {
		marks = append(marks, l.sent[0].marks...)
		l.sent[0] = nil
		l.sent = l.sent[1:]
	}
	l.mu.Unlock()
	for _, fn := range marks {
		fn()
	}
}

// wait returns when every entry is confirmed and handed to the index publisher.
func (l *ledger) wait() error {
	stop := context.AfterFunc(l.f.ctx, l.wake)
	defer stop()
	l.f.jobs.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && l.f.ctx.Err() == nil {
		l.drained.Wait()
	}
	l.flush()
	for (len(l.ready) > 0 || l.sending) && l.f.ctx.Err() == nil {
		l.drained.Wait()
	}
	return l.f.ctx.Err()
}

// close waits and ends run.
func (l *ledger) close() error {
	err := l.wait()
	l.mu.Lock()
	l.closing = true
	l.drained.Broadcast()
	l.mu.Unlock()
	if err == nil {
		<-l.done
	}
	return err
}
