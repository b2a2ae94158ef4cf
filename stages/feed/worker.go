package feed

import "polarcast/messages"

// worker turns jobs into messages. Compressors are not shared, so that each keeps its own tables in its processor's cache.
func (f *Feed) worker() {
	defer f.wg.Done()
	c := messages.NewCompressor(f.cfg.Codec, f.cfg.Level)
	for j := range f.work {
		if f.ctx.Err() == nil {
			f.encode(c, j)
		}
		close(j.ready)
	}
}

func (f *Feed) encode(c *messages.Compressor, j *job) {
	out := f.chunks.Buffer()
	for i := range j.items {
		it := &j.items[i]
		switch it.kind {
		case itemChunk:
			if it.kept > 0 {
				continue
			}
			raw := j.slab[it.from:it.to]
			if p := it.file.prior.at(it.offset, len(raw)); p != nil {
				if h := messages.Hash128(raw); h == p.Hash {
					it.hash, it.crc, it.unchanged = h, p.CRC, true
					continue
				}
			}
			rec := it.file.rec
			rec.Offset = it.offset
			out = c.AppendData(out, &rec, raw)
			it.hash, it.crc = rec.Hash, rec.CRC
		case itemSeal:
			rec := it.file.rec
			rec.Kind, rec.Size, rec.Offset = messages.KindSeal, it.size, it.offset
			out = messages.AppendRecord(out, &rec)
		case itemRecord:
			out = messages.AppendRecord(out, &it.rec)
		}
	}
	j.out = out
}
