package messages

import (
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/minio/highwayhash"
	"github.com/pierrec/lz4/v4"
)

// slack is room for the few bytes by which zstd makes incompressible data longer, so that its attempt ends inside of the buffer.
const slack = 128

// Compressor makes data records. It must be used by one goroutine: its tables stay in that processor's cache.
type Compressor struct {
	codec    Codec
	lz       lz4.Compressor
	zs       *zstd.Encoder
	digest   *highwayhash.Digest
	attempts attempts
	scratch  [sampleSize]byte

	zeroLen  int // the length that zeroCRC and zeroHash are of
	zeroCRC  uint32
	zeroHash [16]byte
}

// NewCompressor returns a compressor. level is the codec's own, 0 its default: zstd has 1 to 22 (default 1), the others have none.
func NewCompressor(codec Codec, level int) *Compressor {
	c := &Compressor{codec: codec, zeroLen: -1}
	// Only a key of another length is an error, and only invalid options are: these are constant.
	c.digest, _ = highwayhash.NewDigest128(hashKey[:])
	if codec == CodecZstd {
		if level == 0 {
			level = 1
		}
		c.zs, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(MaxChunkSize))
	}
	return c
}

// AppendData appends a data record with the bytes raw, at most MaxChunkSize, to a message, and fills in what r has of them: Kind, RawLen, CRC,
// Hash and Codec. dst grows at most once.
func (c *Compressor) AppendData(dst []byte, r *Record, raw []byte) []byte {
	at := len(dst)
	r.Kind, r.RawLen, r.Payload = KindData, uint32(len(raw)), nil
	if isZero(raw) {
		r.Codec = CodecZero
		r.CRC, r.Hash = c.zeroSums(raw)
		dst = appendHeader(slices.Grow(dst, HeaderSize+len(r.Path)), r)
		finishHeader(dst, at, r, 0)
		return dst
	}
	r.CRC, r.Hash = c.sums(raw)
	dst = appendHeader(slices.Grow(dst, HeaderSize+len(r.Path)+len(raw)+slack), r)
	from := len(dst)
	n := c.attempt(dst[from:from+len(raw)+slack], r.Path, raw)
	if n > 0 {
		r.Codec = c.codec
		dst = dst[:from+n]
	} else {
		r.Codec = CodecNone
		dst = append(dst, raw...)
	}
	finishHeader(dst, at, r, len(dst)-from)
	return dst
}

// attempt compresses a chunk into dst if that seems worth its time, and returns the length, 0 when dst is of no use.
func (c *Compressor) attempt(dst []byte, path string, raw []byte) int {
	if c.codec != CodecLZ4 && c.codec != CodecZstd {
		return 0
	}
	f := c.attempts.of(path)
	switch f.next() {
	case attemptNone:
		return 0
	case attemptSample:
		if len(raw) > sampleChunk && !c.sample(raw) {
			f.learn(false)
			return 0
		}
	}
	n := c.compress(dst, raw)
	f.learn(n > 0)
	return n
}

// compress returns the length of the compressed bytes in dst, 0 when they are not at least a sixteenth shorter than raw.
func (c *Compressor) compress(dst, raw []byte) int {
	limit := len(raw) - len(raw)/16
	if c.codec == CodecLZ4 {
		// A destination of just the limit lets the attempt end as soon as it is reached.
		n, err := c.lz.CompressBlock(raw, dst[:limit])
		if err != nil || n >= len(raw) {
			return 0
		}
		return n
	}
	out := c.zs.EncodeAll(raw, dst[:0:len(dst)])
	if len(out) > limit || len(out) >= len(raw) {
		return 0
	}
	if &out[0] != &dst[0] {
		copy(dst, out)
	}
	return len(out)
}

// zeroSums are the sums of a chunk of zeros, kept from the last one: they mostly have the same length.
func (c *Compressor) zeroSums(raw []byte) (uint32, [16]byte) {
	if c.zeroLen != len(raw) {
		c.zeroLen = len(raw)
		c.zeroCRC, c.zeroHash = c.sums(raw)
	}
	return c.zeroCRC, c.zeroHash
}
