package messages

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Reader reads the records of one message.
type Reader struct {
	b    []byte
	at   int
	path string // of the last record: neighbours mostly share it
}

// NewReader returns a reader of a message. Records alias msg.
func NewReader(msg []byte) *Reader { return &Reader{b: msg} }

// Next reads the next record into r. It returns io.EOF after the last one, and an error that wraps one of the package's for anything else.
func (d *Reader) Next(r *Record) error {
	if d.at == len(d.b) {
		return io.EOF
	}
	b := d.b[d.at:]
	if len(b) < HeaderSize {
		return d.err(ErrTruncated)
	}
	if [4]byte(b[:4]) != recordMagic {
		return d.err(ErrBadMagic)
	}
	if b[4] > recordVersion {
		return d.err(ErrFutureVersion)
	}
	le := binary.LittleEndian
	pathLen, payload := int(le.Uint16(b[14:])), int(le.Uint32(b[36:]))
	if pathLen > MaxPath {
		return d.err(ErrBadPath)
	}
	if len(b)-HeaderSize < pathLen {
		return d.err(ErrTruncated)
	}
	if headerSum(b[:HeaderSize+pathLen]) != le.Uint32(b[80:]) {
		return d.err(ErrBadHeader)
	}
	if payload > len(b)-HeaderSize-pathLen {
		return d.err(ErrTruncated)
	}
	path := b[HeaderSize : HeaderSize+pathLen]
	if string(path) != d.path {
		d.path = string(path)
		if err := ValidPath(d.path); err != nil {
			return err
		}
	}
	*r = Record{Kind: Kind(b[5]), Codec: Codec(b[6]), Flags: b[7], Session: le.Uint32(b[8:]), Tree: Tree(b[12]), Path: d.path,
		Offset: int64(le.Uint64(b[16:])), Size: int64(le.Uint64(b[24:])), RawLen: le.Uint32(b[32:]), CRC: le.Uint32(b[40:]),
		Mode: le.Uint32(b[44:]), MTime: int64(le.Uint64(b[48:])), UID: le.Uint32(b[56:]), GID: le.Uint32(b[60:]), Hash: [16]byte(b[64:80])}
	if r.Path == "" {
		return d.err(ErrBadPath)
	}
	if r.Tree > TreeWAL || r.Kind == 0 || r.Offset < 0 || r.Size < -1 {
		return d.err(ErrBadHeader)
	}
	if r.RawLen > MaxChunkSize {
		return d.err(ErrTooLarge)
	}
	end := HeaderSize + pathLen + payload
	r.Payload = b[HeaderSize+pathLen : end : end]
	d.at += end
	return nil
}

func (d *Reader) err(err error) error { return fmt.Errorf("record at byte %d: %w", d.at, err) }
