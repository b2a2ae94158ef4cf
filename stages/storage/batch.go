package storage

import (
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

// Batch is what is made durable and acknowledged together.
type Batch struct {
	msgs     []*pipeline.Message
	receipts []messages.Receipt
	bytes    int64 // raw bytes written
	held     int64 // bytes of the messages, which stay in memory until they are acknowledged
	started  time.Time

	files    map[*handle]int64 // the size that the file has to get, noSize when it is not sealed
	dirs     map[dirKey]struct{}
	archives map[*archive]struct{}
}

func newBatch() *Batch {
	return &Batch{files: map[*handle]int64{}, dirs: map[dirKey]struct{}{}, archives: map[*archive]struct{}{}}
}

// Range notes that bytes of a file are in the batch. Neighbours become one receipt.
func (b *Batch) Range(r *messages.Record, key uint64) {
	n := int64(r.RawLen)
	b.bytes += n
	if i := len(b.receipts) - 1; i >= 0 {
		l := &b.receipts[i]
		if l.Kind == messages.ReceiptRange && l.Key == key && l.Session == r.Session && l.Offset+l.Length == r.Offset {
			l.Length += n
			return
		}
	}
	b.receipts = append(b.receipts, messages.Receipt{Session: r.Session, Kind: messages.ReceiptRange, Tree: r.Tree, Key: key,
		Offset: r.Offset, Length: n})
}

// Done notes that a record without bytes was applied.
func (b *Batch) Done(r *messages.Record, key uint64, kind messages.ReceiptKind) {
	b.receipts = append(b.receipts, messages.Receipt{Session: r.Session, Kind: kind, Tree: r.Tree, Key: key, Length: r.Size})
}

func (b *Batch) empty() bool { return len(b.msgs) == 0 }

// full says when to commit. Two batches are in memory at once, and the next messages need room too, so one takes a third of it: a batch of
// incompressible bytes would otherwise stop the consumer.
func (b *Batch) full(memory int64) bool {
	return b.bytes >= batchBytes || b.held >= memory/3 || len(b.msgs) >= batchMessages || time.Since(b.started) >= batchAge
}
