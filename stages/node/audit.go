package node

import (
	"errors"
	"fmt"
	"io"

	"polarcast/messages"
	"polarcast/pipeline"
)

// audit is the fold of the index for one target. It keeps a file's ranges while they are open, and four bytes for a file that is complete.
type audit struct {
	open map[uint64]*fileAudit
	done map[uint64]uint32 // session in which the file was last found complete

	session uint32            // that has to be complete
	seals   map[uint32]int64  // by session: files that the index says were read to their end
	begins  map[uint32]uint64 // by session: the message of the index before the first one that speaks of it

	seq     uint64 // last message of the index
	before  uint64 // the one before that
	parts   []messages.PartChunk
	rcpts   []messages.Receipt
	files   int64
	bytes   int64
	changed int64 // bytes that were published
	same    int64 // bytes that an earlier session had delivered
}

// fileAudit is one file that is not complete yet.
type fileAudit struct {
	tree messages.Tree
	path string
	// need and have hold ranges by session: what was published, and what the target holds. They are nearly always of one session. touched are the
	// ranges that a session changed in the target, or may have.
	need, have, touched []sessionSpans
	cover               spans  // bytes that parts speak of
	want                int64  // bytes that they must speak of, from the seal
	spoken              uint32 // last session that parts are of: its seal is still to come when sealed is less
	sealed              uint32 // session of the last seal or removal in the index
	applied             uint32 // session of the last one that the target has carried out
}

type sessionSpans struct {
	session uint32
	spans   spans
}

func newAudit() *audit {
	return &audit{open: map[uint64]*fileAudit{}, done: map[uint64]uint32{}, seals: map[uint32]int64{}, begins: map[uint32]uint64{}}
}

// message folds one message of the index.
func (a *audit) message(seq uint64, subject pipeline.Subject, data []byte) error {
	a.before, a.seq = a.seq, seq
	if subject.IsReceipts() {
		var err error
		if a.rcpts, err = messages.ReadReceipts(data, a.rcpts[:0]); err != nil {
			return fmt.Errorf("receipts at position %d of the index: %w", seq, err)
		}
		for i := range a.rcpts {
			a.receipt(&a.rcpts[i])
		}
		return nil
	}
	rd := messages.NewReader(data)
	var r messages.Record
	for {
		if err := rd.Next(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("record at position %d of the index: %w", seq, err)
		}
		if err := a.record(&r); err != nil {
			return err
		}
	}
}

func (a *audit) file(key uint64) *fileAudit {
	f := a.open[key]
	if f == nil {
		f = &fileAudit{}
		a.open[key] = f
	}
	return f
}

// record folds what was published.
func (a *audit) record(r *messages.Record) error {
	key := messages.PathKey(r.Tree, r.Path)
	if _, ok := a.begins[r.Session]; !ok {
		a.begins[r.Session] = a.before
	}
	if r.Kind == messages.KindSeal && r.Tree != messages.TreeWAL {
		a.seals[r.Session]++
	}
	if a.done[key] >= r.Session {
		return nil // published again by a process that took over; the target has had it
	}
	f := a.file(key)
	f.tree, f.path = r.Tree, r.Path
	if r.Kind == messages.KindPart {
		f.spoken = max(f.spoken, r.Session)
		var err error
		if a.parts, err = r.PartChunks(a.parts[:0]); err != nil {
			return fmt.Errorf("part of %q in the index: %w", r.Path, err)
		}
		off := r.Offset
		for i := range a.parts {
			c := &a.parts[i]
			end := off + int64(c.Len)
			if c.Published {
				a.publish(f, r.Session, off, end)
				a.changed += end - off
			} else {
				a.same += end - off
			}
			f.cover.add(off, end)
			off = end
		}
	} else {
		f.sealed, f.want = r.Session, 0
		if r.Kind == messages.KindRemove {
			f.need = nil // whatever of it was lost is not wanted any more
		} else {
			if r.Kind == messages.KindSeal {
				a.files++
				a.bytes += r.Size
				f.want = r.Offset
				f.cut(r.Session, r.Size)
			}
		}
	}
	a.settle(key, f)
	return nil
}

// publish notes that a range must be received from a session. What an earlier session published there does not matter any more.
func (a *audit) publish(f *fileAudit, session uint32, from, to int64) {
	for i := range f.need {
		if f.need[i].session < session {
			f.need[i].spans = f.need[i].spans.minus(spans{{from, to}})
		}
	}
	of(&f.need, session).add(from, to)
}

// cut forgets ranges of earlier sessions beyond the size that a later one gave the file.
func (f *fileAudit) cut(session uint32, size int64) {
	for i := range f.need {
		if f.need[i].session < session {
			f.need[i].spans = f.need[i].spans.minus(spans{{size, 1 << 62}})
		}
	}
}

func of(list *[]sessionSpans, session uint32) *spans {
	for i := range *list {
		if (*list)[i].session == session {
			return &(*list)[i].spans
		}
	}
	*list = append(*list, sessionSpans{session: session})
	return &(*list)[len(*list)-1].spans
}

// receipt folds what the target holds.
func (a *audit) receipt(r *messages.Receipt) {
	if a.done[r.Key] >= r.Session {
		return
	}
	f := a.file(r.Key)
	f.tree = r.Tree
	switch r.Kind {
	case messages.ReceiptRange:
		of(&f.have, r.Session).add(r.Offset, r.Offset+r.Length)
	case messages.ReceiptTouched:
		of(&f.touched, r.Session).add(r.Offset, r.Offset+r.Length)
	case messages.ReceiptSealed:
		f.applied = max(f.applied, r.Session)
		of(&f.touched, r.Session).add(max(r.Length, 0), messages.Unbounded) // was cut off
	case messages.ReceiptRemoved:
		f.applied = max(f.applied, r.Session)
		of(&f.touched, r.Session).add(0, messages.Unbounded)
	}
	a.settle(r.Key, f)
}

// settle moves a file from open to done when nothing of it is missing. The receipt of a later session may come before what the index says of that
// session: then the file is not settled by what an earlier one said of it. Nor is it while a later session is speaking of it, because what that one
// has said would be forgotten: the session that brings lost parts of a large file again names its other parts before and after them.
func (a *audit) settle(key uint64, f *fileAudit) {
	if f.sealed == 0 || f.sealed < f.spoken || f.applied != f.sealed || !f.cover.covers(spans{{0, f.want}}) || len(f.missing()) > 0 || len(f.stale()) > 0 {
		return
	}
	a.done[key] = f.sealed
	delete(a.open, key)
}

// missing returns the published ranges that have no receipt. A range of an earlier session that a later one delivered again was taken out
// of need by publish, so each session is compared with its own receipts.
func (f *fileAudit) missing() spans {
	var out spans
	for i := range f.need {
		n := &f.need[i]
		var have spans
		for j := range f.have {
			if f.have[j].session == n.session {
				have = f.have[j].spans
			}
		}
		out = append(out, n.spans.minus(have)...)
	}
	return out
}

// lost returns what is still open, as the event log names it.
func (a *audit) lost(limit int) (ranges []messages.MissingRange, files int) {
	for _, f := range a.open {
		if f.path == "" {
			continue // receipts of something whose part is not in the index: nothing is missing there
		}
		m := f.missing()
		if len(m) == 0 && f.sealed > 0 {
			m = spans{{0, f.want}}.minus(f.cover)
			if len(m) == 0 {
				m = f.stale()
			}
			if f.applied < f.sealed {
				m = spans{{0, 0}}
			}
		}
		if len(m) == 0 {
			continue
		}
		files++
		for _, s := range m {
			if len(ranges) < limit {
				ranges = append(ranges, messages.MissingRange{Tree: f.tree, Path: f.path, Offset: s.from, Length: s.to - s.from})
			}
		}
	}
	return ranges, files
}

// complete reports whether everything up to the given position of the index is accounted for.
func (a *audit) complete(upTo uint64) bool {
	if a.seq < upTo {
		return false
	}
	for _, f := range a.open {
		if f.path != "" {
			return false
		}
	}
	return true
}
