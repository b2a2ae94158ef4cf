package messages

import (
	"encoding/binary"
	"fmt"
)

// PartChunk is one chunk of a part.
type PartChunk struct {
	Hash      [16]byte
	CRC       uint32
	Len       uint32
	Published bool // false: found equal to what an earlier session delivered
}

const partChunkSize = 16 + 4 + 4

// published is the top bit of the length.
const published = 1 << 31

// AppendPart appends a part: chunks of one file that follow each other from r.Offset on.
func AppendPart(dst []byte, r *Record, chunks []PartChunk) []byte {
	p := *r
	p.Kind, p.Payload = KindPart, nil
	at := len(dst)
	dst = appendHeader(grow(dst, HeaderSize+len(p.Path)+len(chunks)*partChunkSize), &p)
	for i := range chunks {
		c := &chunks[i]
		n := c.Len
		if c.Published {
			n |= published
		}
		dst = append(dst, c.Hash[:]...)
		dst = binary.LittleEndian.AppendUint32(dst, c.CRC)
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	finishHeader(dst, at, &p, len(chunks)*partChunkSize)
	return dst
}

// PartChunks appends the chunks of a part to dst.
func (r *Record) PartChunks(dst []PartChunk) ([]PartChunk, error) {
	if r.Kind != KindPart || len(r.Payload)%partChunkSize != 0 {
		return dst, fmt.Errorf("part of %q: %w", r.Path, ErrBadPayload)
	}
	le := binary.LittleEndian
	for b := r.Payload; len(b) > 0; b = b[partChunkSize:] {
		n := le.Uint32(b[20:])
		c := PartChunk{Hash: [16]byte(b[:16]), CRC: le.Uint32(b[16:]), Len: n &^ published, Published: n&published != 0}
		if c.Len > MaxChunkSize {
			return dst, fmt.Errorf("part of %q: %w", r.Path, ErrTooLarge)
		}
		dst = append(dst, c)
	}
	return dst, nil
}
