package feed

import "polarcast/messages"

// Kept is what the targets have of one file from the sessions that a session goes on with.
type Kept struct {
	file  *priorFile
	since uint32
}

// Kept returns what the targets have of a file from session since and later ones.
func (f *Feed) Kept(t messages.Tree, path string, since uint32) (Kept, error) {
	if f.cfg.Prior == nil || since == 0 {
		return Kept{}, nil
	}
	p, err := f.cfg.Prior.file(t, path)
	return Kept{p, since}, err
}

// Any reports whether there is anything.
func (k Kept) Any() bool {
	if k.file == nil {
		return false
	}
	for _, c := range k.file.chunks {
		if c.session >= k.since {
			return true
		}
	}
	return false
}

// Has reports whether the chunk of n bytes at offset is there.
func (k Kept) Has(offset int64, n int) bool { return k.at(offset, n) != nil }

func (k Kept) at(offset int64, n int) *priorChunk {
	c := k.file.at(offset, n)
	if c == nil || c.session < k.since {
		return nil
	}
	return c
}

// Keep says in the index that the chunk of n bytes at offset, which k has, is in this session what it was. It is not read.
func (f *Feed) Keep(meta messages.Record, k Kept, offset int64, n int) error {
	c := k.at(offset, n)
	meta.Kind, meta.Session = messages.KindData, f.cfg.Session
	return f.add(item{kind: itemChunk, file: &openFile{rec: meta, split: true}, offset: offset, kept: n, hash: c.Hash, crc: c.CRC, unchanged: true})
}
