package feed

import (
	"errors"
	"fmt"

	"polarcast/messages"
)

// StartRange begins the bytes [from, to) of a file of size bytes, of which other feeds publish the rest. from is a multiple of ChunkSize.
// EndRange must follow after exactly to-from bytes; Seal is left to whoever reads the last range.
func (f *Feed) StartRange(meta messages.Record, size, from, to int64) error {
	if from%messages.ChunkSize != 0 || from < 0 || to < from || to > size {
		return fmt.Errorf("feed: range %d to %d of file %q (%d bytes) does not begin at a chunk", from, to, meta.Path, size)
	}
	if err := f.StartFile(meta, size); err != nil {
		return err
	}
	f.file.pos, f.file.end, f.file.split = from, to, true
	return nil
}

// EndRange ends a range without sealing the file.
func (f *Feed) EndRange() error {
	of := f.file
	if of == nil || !of.split {
		return errors.New("feed: no range to end")
	}
	if of.pos != of.end {
		return fmt.Errorf("feed: range of file %q ended at %d instead of %d", of.rec.Path, of.pos, of.end)
	}
	f.file = nil
	return nil
}

// Seal ends a file of size bytes whose ranges were, or still are, published by several feeds. covered is how many bytes their parts cover.
func (f *Feed) Seal(meta messages.Record, size, covered int64) error {
	if f.file != nil {
		return fmt.Errorf("feed: file %q was not ended before %q was sealed", f.file.rec.Path, meta.Path)
	}
	if err := messages.ValidPath(meta.Path); err != nil {
		return err
	}
	meta.Session, meta.Size = f.cfg.Session, size
	return f.add(item{kind: itemSeal, file: &openFile{rec: meta, split: true}, offset: covered, size: size})
}

// Mark calls fn when everything before it is confirmed, index included. fn is called from another goroutine and must not block. It is not
// called when the feed ends before.
func (f *Feed) Mark(fn func()) error {
	if err := f.add(item{kind: itemMark, mark: fn}); err != nil {
		return err
	}
	return f.Flush()
}

// Plus returns the sum of what two feeds have done; positions are the later ones.
func (t Totals) Plus(o Totals) Totals {
	t.Files += o.Files
	t.Chunks += o.Chunks
	t.ReadBytes += o.ReadBytes
	t.PublishedBytes += o.PublishedBytes
	t.UnchangedByte += o.UnchangedByte
	t.KeptBytes += o.KeptBytes
	t.SentBytes += o.SentBytes
	t.ConfirmedBytes += o.ConfirmedBytes
	t.ChunkSeq, t.IndexSeq = max(t.ChunkSeq, o.ChunkSeq), max(t.IndexSeq, o.IndexSeq)
	t.Sealed += o.Sealed
	t.SealedSize += o.SealedSize
	for i := range t.SealDigest {
		t.SealDigest[i] ^= o.SealDigest[i]
	}
	return t
}
