package messages

import (
	"strconv"
	"strings"
)

// Codec says how the payload of a data record is compressed.
type Codec uint8

const (
	CodecNone Codec = 0 // raw bytes
	CodecLZ4  Codec = 1 // LZ4 block
	CodecZstd Codec = 2 // zstd frame
	CodecZero Codec = 3 // no payload: RawLen zero bytes

	maxCodec = CodecZero
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
