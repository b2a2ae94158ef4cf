package feed

import (
	"hash"

	"polarcast/messages"
)

// fileSum follows one file through the sequencer.
type fileSum struct {
	file   *openFile
	crc    uint32
	size   int64
	digest hash.Hash
}

// sequence publishes the jobs in reading order.
func (f *Feed) sequence() {
	defer close(f.seqDone)
	sum := &fileSum{}
	for j := range f.ordered {
		<-j.ready
		if f.ctx.Err() == nil { // else drain, so that nobody waits for us
			if err := f.publish(j, sum); err != nil {
				f.cancel(err)
			}
		}
		f.slabs <- j
		f.jobs.Done()
	}
}

func (f *Feed) publish(j *job, sum *fileSum) error {
	e := f.ledger.open()
	var t Totals
	for i := range j.items {
		it := &j.items[i]
		switch it.kind {
		case itemStart:
			sum.file, sum.crc, sum.size, sum.digest = it.file, 0, 0, nil
			if f.cfg.Digest != nil {
				sum.digest = f.cfg.Digest()
			}
		case itemChunk:
			if it.kept > 0 {
				t.Chunks++
				t.KeptBytes += int64(it.kept)
				e.chunk(it, it.kept)
				continue
			}
			raw := j.slab[it.from:it.to]
			sum.crc = messages.CombineCRC32C(sum.crc, it.crc, int64(len(raw)))
			sum.size += int64(len(raw))
			if sum.digest != nil {
				sum.digest.Write(raw)
			}
			t.Chunks++
			t.ReadBytes += int64(len(raw))
			if it.unchanged {
				t.UnchangedByte += int64(len(raw))
			} else {
				t.PublishedBytes += int64(len(raw))
			}
			e.chunk(it, len(raw))
		case itemSeal:
			s := Sealed{Tree: it.file.rec.Tree, Path: it.file.rec.Path, Size: it.size, Split: it.file.split}
			if !s.Split {
				s.CRC = sum.crc
				if sum.digest != nil {
					s.Digest = sum.digest.Sum(nil)
				}
			}
			if f.cfg.OnSeal != nil {
				if err := f.cfg.OnSeal(s); err != nil {
					return err
				}
			}
			t.Files++
			e.seal(it, s.CRC, s.Digest)
		case itemRecord:
			e.record(it.rec)
		case itemMark:
			e.ops = append(e.ops, op{kind: itemMark, mark: it.mark})
		}
	}
	out := j.out
	t.SentBytes = int64(len(out))
	f.count(func(a *Totals) {
		a.Chunks += t.Chunks
		a.ReadBytes += t.ReadBytes
		a.UnchangedByte += t.UnchangedByte
		a.KeptBytes += t.KeptBytes
		a.PublishedBytes += t.PublishedBytes
		a.Files += t.Files
		a.SentBytes += t.SentBytes
	})
	if len(out) == 0 {
		f.chunks.Release(out)
		e.confirm(0, nil)
		return nil
	}
	if err := f.alive(); err != nil {
		return err
	}
	if err := f.chunks.Publish(f.ctx, f.cfg.Subject, out, e.confirm); err != nil {
		return err
	}
	if f.cfg.Strict {
		// A message that a full stream refused would be overtaken by the next one while it is sent again.
		return f.chunks.Flush(f.ctx)
	}
	return nil
}
