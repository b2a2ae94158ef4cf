package messages

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// PartChunk is one chunk of a part.
type PartChunk struct {
	Hash      [16]byte // Hash128 of the raw bytes
	CRC       uint32   // CRC32C of the raw bytes
	Len       uint32   // raw bytes, at most MaxChunkSize
	Published bool     // false: equal to what an earlier session delivered
	Kept      bool     // and not read, since this session goes on with that one
}

const (
	partChunkSize = 16 + 4 + 4
	// published and kept are the top bits of the length.
	published = 1 << 31
	kept      = 1 << 30
)

// AppendPart appends a part: chunks of one file that follow each other without a gap from r.Offset on. Kind and Payload of r do not count.
func AppendPart(dst []byte, r *Record, chunks []PartChunk) []byte {
	p := *r
	p.Kind, p.Codec, p.Payload = KindPart, CodecNone, nil
	at := len(dst)
	dst = appendHeader(slices.Grow(dst, HeaderSize+len(p.Path)+len(chunks)*partChunkSize), &p)
	for i := range chunks {
		c := &chunks[i]
		n := c.Len
		if c.Published {
			n |= published
		}
		if c.Kept {
			n |= kept
		}
		dst = append(dst, c.Hash[:]...)
		dst = binary.LittleEndian.AppendUint32(dst, c.CRC)
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	// What chunks say decides about which bytes are asked for again, so they have a sum as well: CRC is free in this kind.
	p.CRC = CRC32C(dst[at+HeaderSize+len(p.Path):])
	finishHeader(dst, at, &p, len(chunks)*partChunkSize)
	return dst
}

// PartChunks appends the chunks of a part to dst. Errors wrap ErrBadPayload or ErrTooLarge; dst comes back unchanged with them.
func (r *Record) PartChunks(dst []PartChunk) ([]PartChunk, error) {
	if r.Kind != KindPart {
		return dst, fmt.Errorf("%w: record of kind %d of %q is not a part", ErrBadPayload, r.Kind, r.Path)
	}
	if err := r.checkPart(); err != nil {
		return dst, err
	}
	le := binary.LittleEndian
	out := slices.Grow(dst, len(r.Payload)/partChunkSize)
	for b := r.Payload; len(b) > 0; b = b[partChunkSize:] {
		n := le.Uint32(b[20:])
		c := PartChunk{Hash: [16]byte(b[:16]), CRC: le.Uint32(b[16:]), Len: n &^ (published | kept), Published: n&published != 0, Kept: n&kept != 0}
		if c.Len > MaxChunkSize {
			return dst, fmt.Errorf("part of %q: %w: a chunk of %d bytes", r.Path, ErrTooLarge, c.Len)
		}
		out = append(out, c)
	}
	return out, nil
}

func (r *Record) checkPart() error {
	if len(r.Payload)%partChunkSize != 0 {
		return fmt.Errorf("part of %q: %w: %d bytes", r.Path, ErrBadPayload, len(r.Payload))
	}
	if CRC32C(r.Payload) != r.CRC {
		return fmt.Errorf("part of %q: %w", r.Path, ErrChecksum)
	}
	return nil
}
