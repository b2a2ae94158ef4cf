package feed

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"polarcast/messages"
)

// priorChunk is one chunk that the targets hold.
type priorChunk struct {
	Hash [16]byte
	CRC  uint32
	len  uint32
	// offers are the targets that held it before a delta backup, by number from bit 0 on; 0: it was delivered by a session.
	offers  uint64
	session uint32 // that delivered it, or found it as an earlier one had
}

// priorFile holds the delivered chunks of one file by offset.
type priorFile struct {
	chunks map[int64]*priorChunk
}

func (p *priorFile) at(offset int64, n int) *priorChunk {
	if p == nil {
		return nil
	}
	if c := p.chunks[offset]; c != nil && int(c.len) == n {
		return c
	}
	return nil
}

// file returns the delivered chunks of one file and marks it as seen; nil when nothing of it was delivered.
func (p *Prior) file(t messages.Tree, path string) (*priorFile, error) {
	key := messages.PathKey(t, path)
	ref := p.files[key]
	if ref == nil {
		return nil, nil
	}
	p.mu.Lock()
	ref.seen = true
	p.mu.Unlock()
	if ref.last == noPart {
		return nil, nil
	}
	pf := &priorFile{chunks: map[int64]*priorChunk{}}
	var head [spillHeader]byte
	le := binary.LittleEndian
	limit := int64(math.MaxInt64)
	for at := ref.last; at != noPart; {
		if _, err := p.spill.ReadAt(head[:], at); err != nil {
			return nil, fmt.Errorf("cannot read the temporary index file %s: %w", p.spill.Name(), err)
		}
		body := make([]byte, int(le.Uint32(head[16:]))*spillChunk)
		if _, err := p.spill.ReadAt(body, at+spillHeader); err != nil {
			return nil, fmt.Errorf("cannot read the temporary index file %s: %w", p.spill.Name(), err)
		}
		off, from := int64(le.Uint64(head[8:])), le.Uint32(head[20:])
		if len(body) == 0 {
			limit = min(limit, off)
		}
		for ; len(body) > 0; body = body[spillChunk:] {
			c := priorChunk{CRC: le.Uint32(body[16:]), len: le.Uint32(body[20:]), session: le.Uint32(head[24:])}
			copy(c.Hash[:], body)
			if off+int64(c.len) <= limit && !p.missing(key, off, int64(c.len), c.session) {
				pf.add(off, c, from)
			}
			off += int64(c.len)
		}
		at = int64(le.Uint64(head[0:]))
	}
	for off, c := range pf.chunks {
		if c.offers != 0 && bits.OnesCount64(c.offers) < len(p.offers) {
			delete(pf.chunks, off) // some target lacks it, or holds something else
		}
	}
	return pf, nil
}

// add takes in a chunk. Parts are walked from the newest to the oldest: what a later session delivered wins, and offers are older than all of them.
func (p *priorFile) add(off int64, c priorChunk, from uint32) {
	have := p.chunks[off]
	switch {
	case have == nil:
		if from > 0 {
			c.offers = 1 << (from - 1)
		}
		p.chunks[off] = &c
	case have.offers != 0 && from > 0 && have.Hash == c.Hash && have.len == c.len:
		have.offers |= 1 << (from - 1)
	}
}
