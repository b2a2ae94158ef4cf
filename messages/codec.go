package messages

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// ParseCodec understands "lz4", "zstd", "zstd:LEVEL" and "none". Anything else is lz4, the default.
func ParseCodec(s string) (Codec, int) {
	name, level, _ := strings.Cut(s, ":")
	n, _ := strconv.Atoi(level)
	switch name {
	case "none":
		return CodecNone, 0
	case "zstd":
		return CodecZstd, n
	}
	return CodecLZ4, 0
}

const (
	// sampleSize is how much of a chunk is tried while its file seems incompressible.
	sampleSize = 8 << 10
	// maxSkip is how many chunks are left uncompressed, at most, before the next try.
	maxSkip = 64
)

// Compressor makes data records. It must be used by one goroutine.
type Compressor struct {
	codec Codec
	lz    lz4.Compressor
	zs    *zstd.Encoder

	path string // the file that the state below is about
	skip int    // chunks to go before compression is tried again
	back int    // how many are skipped after the next failure
}

// NewCompressor returns a compressor; level is the codec's own, 0 its default.
func NewCompressor(codec Codec, level int) *Compressor {
	c := &Compressor{codec: codec}
	if codec == CodecZstd {
		if level == 0 {
			level = 1
		}
		// Only invalid options are errors, and these are constant.
		c.zs, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	}
	return c
}

// AppendData appends a data record with the bytes raw to a message, and fills in what r has of them: RawLen, CRC, Hash and Codec.
func (c *Compressor) AppendData(dst []byte, r *Record, raw []byte) []byte {
	r.Kind, r.RawLen, r.CRC, r.Hash, r.Payload = KindData, uint32(len(raw)), CRC32C(raw), Hash128(raw), nil
	at := len(dst)
	if isZero(raw) {
		r.Codec = CodecZero
		dst = appendHeader(dst, r)
		finishHeader(dst, at, r, 0)
		return dst
	}
	dst = grow(dst, HeaderSize+len(r.Path)+len(raw))
	dst = appendHeader(dst, r)
	from := len(dst)
	r.Codec = c.codec
	n := 0
	if c.codec != CodecNone && c.worthTrying(r.Path, raw) {
		n = c.compress(dst[from:from+len(raw)], raw)
		c.learn(n > 0)
	}
	if n > 0 {
		dst = dst[:from+n]
	} else {
		r.Codec = CodecNone
		dst = append(dst, raw...)
	}
	finishHeader(dst, at, r, len(dst)-from)
	return dst
}

// compress returns the length of the compressed bytes in dst, 0 when they are not at least a sixteenth shorter.
func (c *Compressor) compress(dst, raw []byte) int {
	limit := len(raw) - len(raw)/16
	switch c.codec {
	case CodecLZ4:
		n, err := c.lz.CompressBlock(raw, dst[:limit])
		if err != nil {
			return 0
		}
		return n
	case CodecZstd:
		out := c.zs.EncodeAll(raw, dst[:0:limit])
		if len(out) >= limit {
			return 0
		}
		if &out[0] != &dst[0] {
			copy(dst, out)
		}
		return len(out)
	}
	return 0
}

// worthTrying decides whether a chunk is compressed at all. Failed attempts are the most expensive thing that a compressor does.
func (c *Compressor) worthTrying(path string, raw []byte) bool {
	if path != c.path {
		c.path, c.skip, c.back = path, 0, 0
		return true
	}
	if c.skip > 0 {
		c.skip--
		return false
	}
	if c.back == 0 || len(raw) <= sampleSize {
		return true
	}
	var scratch [sampleSize]byte
	mid := (len(raw) - sampleSize) / 2
	if c.compress(scratch[:], raw[mid:mid+sampleSize]) > 0 {
		return true
	}
	c.learn(false)
	return false
}

func (c *Compressor) learn(ok bool) {
	if ok {
		c.skip, c.back = 0, 0
		return
	}
	c.back = min(max(2*c.back, 1), maxSkip)
	c.skip = c.back
}

func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	out := make([]byte, len(b), len(b)+n)
	copy(out, b)
	return out
}

func isZero(b []byte) bool {
	for len(b) >= 32 {
		le := binary.LittleEndian
		if le.Uint64(b)|le.Uint64(b[8:])|le.Uint64(b[16:])|le.Uint64(b[24:]) != 0 {
			return false
		}
		b = b[32:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxChunkSize))
	return d
})

// Decompress returns the raw bytes of a data record, checked against its CRC32C. They are in dst's memory when that is large enough, or
// alias Payload when it is not compressed.
func (r *Record) Decompress(dst []byte) ([]byte, error) {
	n := int(r.RawLen)
	if n > MaxChunkSize {
		return nil, ErrTooLarge
	}
	var raw []byte
	switch r.Codec {
	case CodecNone:
		raw = r.Payload
	case CodecLZ4:
		// LZ4 cannot shrink by more than 255: a larger claim is damage, and is not worth the memory.
		if n > 255*len(r.Payload)+64 {
			return nil, ErrBadPayload
		}
		raw = grow(dst[:0], n)[:n]
		m, err := lz4.UncompressBlock(r.Payload, raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadPayload, err)
		}
		raw = raw[:m]
	case CodecZstd:
		out, err := zstdDecoder().DecodeAll(r.Payload, dst[:0])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadPayload, err)
		}
		raw = out
	case CodecZero:
		raw = grow(dst[:0], n)[:n]
		clear(raw)
	default:
		return nil, fmt.Errorf("codec %d: %w", r.Codec, ErrFutureVersion)
	}
	if len(raw) != n {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrBadPayload, len(raw), n)
	}
	if CRC32C(raw) != r.CRC {
		return nil, ErrChecksum
	}
	return raw, nil
}
