package messages

import (
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// lz4MaxRatio is the most that LZ4 can shrink by: one byte of length stands for at most 255 bytes. A larger claim is damage, and is not worth
// the memory.
const lz4MaxRatio = 255

// zstdDecoder is shared: DecodeAll may be called by many goroutines at once.
var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	// Only invalid options are errors, and these are constant.
	d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxChunkSize), zstd.WithDecoderMaxWindow(MaxChunkSize))
	return d
})

// Decompress returns the RawLen raw bytes of a data record, checked against its CRC32C (ErrChecksum). They are in dst's memory, from its
// beginning, when its capacity is large enough; with CodecNone they alias Payload and nothing is copied. Other errors wrap ErrTooLarge,
// ErrBadPayload or ErrFutureVersion. The caller says of which file and offset.
func (r *Record) Decompress(dst []byte) ([]byte, error) {
	if r.RawLen > MaxChunkSize {
		return nil, ErrTooLarge
	}
	n := int(r.RawLen)
	var raw []byte
	switch r.Codec {
	case CodecNone:
		raw = r.Payload
	case CodecLZ4:
		if n > lz4MaxRatio*len(r.Payload) {
			return nil, ErrBadPayload
		}
		raw = slices.Grow(dst[:0], n)[:n]
		m, err := lz4.UncompressBlock(r.Payload, raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadPayload, err)
		}
		raw = raw[:m]
	case CodecZstd:
		out, err := zstdDecoder().DecodeAll(r.Payload, slices.Grow(dst[:0], n))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadPayload, err)
		}
		raw = out
	case CodecZero:
		// The sum of zeros follows from their number: only what the caller wants of them is written.
		if zerosCRC32C(n) != r.CRC {
			return nil, ErrChecksum
		}
		raw = slices.Grow(dst[:0], n)[:n]
		clear(raw)
		return raw, nil
	default:
		return nil, fmt.Errorf("codec %d: %w", r.Codec, ErrFutureVersion)
	}
	if len(raw) != n {
		return nil, fmt.Errorf("%w: %d raw bytes instead of %d", ErrBadPayload, len(raw), n)
	}
	if CRC32C(raw) != r.CRC {
		return nil, ErrChecksum
	}
	return raw, nil
}
