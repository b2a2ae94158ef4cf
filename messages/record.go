package messages

import (
	"encoding/binary"
	"slices"
)

// Kind says what a record is, and by that what its fields mean.
type Kind uint8

const (
	KindData      Kind = 1 // bytes of a file: Offset, RawLen, CRC, Hash of the raw chunk; Size is the whole file's as known now
	KindDirectory Kind = 2 // Path, Mode
	KindSymlink   Kind = 3 // Payload is the link's target
	KindSeal      Kind = 4 // the end of a file: Size is final, Offset is how many bytes its parts cover, CRC the file's CRC32C and Payload its digest (index only)
	KindRemove    Kind = 5 // the path must not exist in the target
	KindPart      Kind = 6 // index only: chunks that were published or found unchanged, from Offset on; Payload: see AppendPart
	KindEnd       Kind = 7 // a stage has published all of its session; Path is EndPath

	// maxKind is the last one that this program knows: a higher one was written by a newer program.
	maxKind = KindEnd
)

// Tree says below which directory of a target a path lies.
type Tree uint8

const (
	TreeLocal  Tree = 0 // the data directory; PolarDB: the local one
	TreeShared Tree = 1 // PolarDB's shared data directory
	TreeWAL    Tree = 2 // where WAL segments are

	maxTree = TreeWAL
)

const (
	// MaxDigest is the longest payload of a seal, in bytes (SHA-512): in the index a seal may carry the digest that the manifest wants of the
	// whole file.
	MaxDigest = 64
	// EndPath is the path of the record by which a stage says that it has published all of its session.
	EndPath = "end-of-session"
	// ChunkSize is the length and the alignment of chunks, in bytes.
	ChunkSize = 256 << 10
	// MaxChunkSize is the largest RawLen that a reader accepts, in bytes.
	MaxChunkSize = 1 << 20
	// MaxLink is the longest target of a symbolic link, in bytes: Linux' PATH_MAX is 4096 with the final NUL.
	MaxLink = 4095
	// HeaderSize is the length of a record's fixed part, in bytes.
	HeaderSize = 84

	recordVersion = 1
)

var recordMagic = [4]byte{'P', 'C', 'C', 'K'}

// FlagSplit marks the seal of a file of which several readers published ranges: its CRC is not known to any of them, and is combined from those of
// the chunks in the index.
const FlagSplit = 1

// Record is one unit of a chunk or index message. The meaning of its fields depends on Kind; those without one are 0.
type Record struct {
	Kind    Kind
	Codec   Codec
	Flags   uint8 // KindSeal: 1 when its CRC is not known, see docs/messages.md; otherwise 0
	Tree    Tree
	Session uint32   // from 1
	Path    string   // relative, slash-separated; see ValidPath
	Offset  int64    // bytes
	Size    int64    // bytes of the whole file, -1 when not known yet
	RawLen  uint32   // bytes of the chunk before compression
	CRC     uint32   // CRC32C of the raw bytes
	Mode    uint32   // permission bits; 0 when the source has none to take over
	MTime   int64    // seconds since 1970; 0 when not known
	UID     uint32   // as the source has it; used by tar targets only
	GID     uint32   // likewise
	Hash    [16]byte // Hash128 of the raw bytes
	Payload []byte   // aliases the message after reading
}

// AppendRecord appends r to a message, with r.Payload as it is. The target of a symbolic link gets its CRC here.
func AppendRecord(dst []byte, r *Record) []byte {
	if r.Kind == KindSymlink {
		link := *r
		link.CRC = CRC32C(link.Payload)
		r = &link
	}
	at := len(dst)
	dst = slices.Grow(dst, HeaderSize+len(r.Path)+len(r.Payload))
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
