package messages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Reader reads the records of one message.
type Reader struct {
	b    []byte
	at   int
	path string // of the last record, known to be valid: neighbours mostly share it
}

// NewReader returns a reader of a message. Records alias msg.
func NewReader(msg []byte) *Reader { return &Reader{b: msg} }

// Reset makes the reader read another message. It keeps the last path, so that a reader that is used again does not allocate when the next
// message continues the same file.
func (d *Reader) Reset(msg []byte) { d.b, d.at = msg, 0 }

// Next reads the next record into r, all fields of it. It returns io.EOF after the last one, and an error that wraps one of the package's for
// anything that no polarcast of this version writes. After an error it does not go on: where the next record begins cannot be trusted.
//
// The payload of KindData is not checked against CRC: that is for Decompress, when its bytes are needed.
func (d *Reader) Next(r *Record) error {
	if d.at == len(d.b) {
		return io.EOF
	}
	b := d.b[d.at:]
	pathLen, payload, err := frame(b)
	if err != nil {
		return d.err(err)
	}
	path := b[HeaderSize : HeaderSize+pathLen]
	if string(path) != d.path {
		// A record that was used before often has the path already.
		p := r.Path
		if string(path) != p {
			p = string(path)
		}
		if err := ValidPath(p); err != nil {
			return d.err(err)
		}
		d.path = p
	}
	le := binary.LittleEndian
	*r = Record{Kind: Kind(b[5]), Codec: Codec(b[6]), Flags: b[7], Session: le.Uint32(b[8:]), Tree: Tree(b[12]), Path: d.path,
		Offset: int64(le.Uint64(b[16:])), Size: int64(le.Uint64(b[24:])), RawLen: le.Uint32(b[32:]), CRC: le.Uint32(b[40:]),
		Mode: le.Uint32(b[44:]), MTime: int64(le.Uint64(b[48:])), UID: le.Uint32(b[56:]), GID: le.Uint32(b[60:]), Hash: [16]byte(b[64:80])}
	end := HeaderSize + pathLen + payload
	r.Payload = b[HeaderSize+pathLen : end : end]
	if err := r.check(); err != nil {
		return d.err(err)
	}
	d.at += end
	return nil
}

// frame checks that b begins with a whole record whose header is undamaged, and returns the lengths of its path and payload.
func frame(b []byte) (pathLen, payload int, err error) {
	if !bytes.HasPrefix(recordMagic[:], b[:min(len(b), 4)]) {
		return 0, 0, ErrBadMagic
	}
	if len(b) < HeaderSize {
		return 0, 0, ErrTruncated
	}
	le := binary.LittleEndian
	if b[4] > recordVersion {
		return 0, 0, fmt.Errorf("version %d: %w", b[4], ErrFutureVersion)
	}
	pathLen = int(le.Uint16(b[14:]))
	if pathLen == 0 || pathLen > MaxPath {
		return 0, 0, fmt.Errorf("%w: its length is %d bytes", ErrBadPath, pathLen)
	}
	if len(b) < HeaderSize+pathLen {
		return 0, 0, ErrTruncated
	}
	if b[4] == 0 || headerSum(b[:HeaderSize+pathLen]) != le.Uint32(b[80:]) {
		return 0, 0, ErrBadHeader
	}
	n := le.Uint32(b[36:])
	if uint64(n) > uint64(len(b)-HeaderSize-pathLen) {
		return 0, 0, ErrTruncated
	}
	return pathLen, int(n), nil
}

// check holds a record to the rules of its kind.
func (r *Record) check() error {
	switch {
	case r.Kind > maxKind || r.Codec > maxCodec || r.Tree > maxTree:
		return fmt.Errorf("kind %d, codec %d, tree %d: %w", r.Kind, r.Codec, r.Tree, ErrFutureVersion)
	case r.Kind == 0:
		return fmt.Errorf("%w: no kind", ErrBadHeader)
	case r.RawLen > MaxChunkSize:
		return fmt.Errorf("%w: a chunk of %d bytes", ErrTooLarge, r.RawLen)
	case r.Offset < 0 || r.Offset > math.MaxInt64-MaxChunkSize || r.Size < -1:
		return fmt.Errorf("%w: offset %d, size %d", ErrBadHeader, r.Offset, r.Size)
	case r.Kind != KindData && r.Codec != CodecNone:
		return fmt.Errorf("%w: codec %d on a record of kind %d", ErrBadHeader, r.Codec, r.Kind)
	}
	switch r.Kind {
	case KindData:
		return r.checkData()
	case KindSymlink:
		if len(r.Payload) == 0 || len(r.Payload) > MaxLink || bytes.IndexByte(r.Payload, 0) >= 0 {
			return fmt.Errorf("%w: no possible target of the symbolic link %q", ErrBadPayload, r.Path)
		}
		if CRC32C(r.Payload) != r.CRC {
			return fmt.Errorf("target of the symbolic link %q: %w", r.Path, ErrChecksum)
		}
	case KindPart:
		return r.checkPart()
	case KindSeal:
		if len(r.Payload) > MaxDigest {
			return fmt.Errorf("%w: a digest of %d bytes of %q", ErrBadPayload, len(r.Payload), r.Path)
		}
	default:
		if len(r.Payload) != 0 {
			return fmt.Errorf("%w: %d bytes on a record of kind %d", ErrBadPayload, len(r.Payload), r.Kind)
		}
	}
	return nil
}

func (r *Record) checkData() error {
	n, bad := uint64(len(r.Payload)), false
	switch r.Codec {
	case CodecNone:
		bad = n != uint64(r.RawLen)
	case CodecZero:
		bad = n != 0
	default: // a compressor that does not shrink is not used
		bad = n == 0 || n >= uint64(r.RawLen)
	}
	if bad {
		return fmt.Errorf("%w: %d bytes, codec %d, for %d raw ones of %q", ErrBadPayload, n, r.Codec, r.RawLen, r.Path)
	}
	return nil
}

func (d *Reader) err(err error) error { return fmt.Errorf("record at byte %d: %w", d.at, err) }
