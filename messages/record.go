package messages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Kind says what a record is.
type Kind uint8

const (
	KindData      Kind = 1 // bytes of a file
	KindDirectory Kind = 2
	KindSymlink   Kind = 3 // Payload is the target
	KindSeal      Kind = 4 // the end of a file: Size is final, Offset is how many bytes its parts cover, CRC the file's CRC32C (index only)
	KindRemove    Kind = 5 // the path must not exist in the target
	KindPart      Kind = 6 // index only: chunks that were published or found unchanged
	KindEnd       Kind = 7 // a stage has published all of its session
)

// Codec says how the payload of a data record is compressed.
type Codec uint8

const (
	CodecNone Codec = 0
	CodecLZ4  Codec = 1 // LZ4 block
	CodecZstd Codec = 2 // zstd frame
	CodecZero Codec = 3 // no payload: RawLen zero bytes
)

// Tree says below which directory of a target a path lies.
type Tree uint8

const (
	TreeLocal  Tree = 0 // the data directory; PolarDB: the local one
	TreeShared Tree = 1 // PolarDB's shared data directory
	TreeWAL    Tree = 2 // where WAL segments are
)

const (
	// EndPath is the path of the record by which a stage says that it has published all of its session.
	EndPath = "end-of-session"
	// ChunkSize is the length and the alignment of chunks, in bytes.
	ChunkSize = 256 << 10
	// MaxChunkSize is the largest RawLen that a reader accepts.
	MaxChunkSize = 1 << 20
	// MaxPath is the longest path, in bytes.
	MaxPath = 1023
	// HeaderSize is the length of a record's fixed part, in bytes.
	HeaderSize = 84

	recordVersion = 1
)

var recordMagic = [4]byte{'P', 'C', 'C', 'K'}

// Record is one unit of a chunk or index message. The meaning of its fields depends on Kind.
type Record struct {
	Kind    Kind
	Codec   Codec
	Flags   uint8
	Tree    Tree
	Session uint32
	Path    string // relative, slash-separated; see ValidPath
	Offset  int64  // bytes
	Size    int64  // bytes of the whole file, -1 when not known yet
	RawLen  uint32 // bytes of the chunk before compression
	CRC     uint32 // CRC32C of the raw bytes
	Mode    uint32 // permission bits; 0 when the source has none to take over
	MTime   int64  // seconds since 1970
	UID     uint32
	GID     uint32
	Hash    [16]byte // Hash128 of the raw bytes
	Payload []byte   // aliases the message after reading
}

// Errors of the decoders. They are wrapped with where and what.
var (
	ErrBadMagic      = errors.New("not a polarcast record")
	ErrFutureVersion = errors.New("written by a newer polarcast: update this one")
	ErrTruncated     = errors.New("message ends too early")
	ErrBadHeader     = errors.New("header is damaged")
	ErrBadPath       = errors.New("path does not stay inside of the data directory")
	ErrTooLarge      = errors.New("longer than any polarcast writes")
	ErrChecksum      = errors.New("CRC32C does not match")
	ErrBadPayload    = errors.New("payload is damaged")
)

// ValidPath refuses paths that could lead out of a tree: absolute ones, and those with empty, "." or ".." elements.
func ValidPath(p string) error {
	if p == "" || len(p) > MaxPath || strings.IndexByte(p, 0) >= 0 {
		return fmt.Errorf("%w: %q", ErrBadPath, p)
	}
	for from := 0; from <= len(p); {
		end := strings.IndexByte(p[from:], '/')
		if end < 0 {
			end = len(p) - from
		}
		switch p[from : from+end] {
		case "", ".", "..":
			return fmt.Errorf("%w: %q", ErrBadPath, p)
		}
		from += end + 1
	}
	return nil
}

// AppendRecord appends r to a message.
func AppendRecord(dst []byte, r *Record) []byte {
	at := len(dst)
	dst = appendHeader(dst, r)
	dst = append(dst, r.Payload...)
	finishHeader(dst, at, r, len(r.Payload))
	return dst
}

// appendHeader appends the fixed part and the path; finishHeader fills in what depends on the payload.
func appendHeader(dst []byte, r *Record) []byte {
	var h [HeaderSize]byte
	dst = append(dst, h[:]...)
	return append(dst, r.Path...)
}

func finishHeader(dst []byte, at int, r *Record, payload int) {
	h := dst[at : at+HeaderSize : len(dst)]
	le := binary.LittleEndian
	copy(h, recordMagic[:])
	h[4], h[5], h[6], h[7] = recordVersion, byte(r.Kind), byte(r.Codec), r.Flags
	le.PutUint32(h[8:], r.Session)
	h[12], h[13] = byte(r.Tree), 0
	le.PutUint16(h[14:], uint16(len(r.Path)))
	le.PutUint64(h[16:], uint64(r.Offset))
	le.PutUint64(h[24:], uint64(r.Size))
	le.PutUint32(h[32:], r.RawLen)
	le.PutUint32(h[36:], uint32(payload))
	le.PutUint32(h[40:], r.CRC)
	le.PutUint32(h[44:], r.Mode)
	le.PutUint64(h[48:], uint64(r.MTime))
	le.PutUint32(h[56:], r.UID)
	le.PutUint32(h[60:], r.GID)
	copy(h[64:80], r.Hash[:])
	le.PutUint32(h[80:], headerSum(dst[at:at+HeaderSize+len(r.Path)]))
}

// headerSum is the CRC32C of the fixed part without the sum itself, and the path.
func headerSum(b []byte) uint32 { return updateCRC32C(CRC32C(b[:80]), b[HeaderSize:]) }
