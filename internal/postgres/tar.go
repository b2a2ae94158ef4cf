package postgres

import (
	"errors"
	"fmt"
)

// TarHandler receives what a TarReader finds. An error of it ends the parsing and is returned by Feed or Close.
type TarHandler interface {
	// Header begins a member. h is valid until the next call of Header.
	Header(h *TarHeader) error
	// Data gives bytes of a file's contents, as a slice of what was fed.
	Data(p []byte) error
	// End ends the member; for a file all h.Size bytes were given.
	End() error
}

// TarType is the type of a member, as the type flag of its header, so that string(t) names it in a message.
type TarType byte

// The types that a base backup has. Another one, a hard link or a device, is never sent by a server.
const (
	TarRegular   TarType = '0' // also for the flags '7' and zero byte
	TarDirectory TarType = '5'
	TarSymlink   TarType = '2'
)

// TarHeader describes a member.
type TarHeader struct {
	// Name is RawName without "./" at its beginning and slashes at its end; "" is the directory itself.
	Name string
	// RawName is the name as the archive has it.
	RawName string
	// Unsafe says why Name must not be joined to a directory: ErrTarAbsolute or ErrTarElement; nil when it may. PolarDB 15 sends such names: the status
	// file of a fetched WAL segment has its path on the source there, as "/nvme1n1/…" or "file-dio:///…".
	Unsafe  error
	Type    TarType
	Size    int64  // bytes of contents; 0 for all but files
	Mode    uint32 // permission bits. PolarDB on PFS sends 0777 for all
	UID     uint32
	GID     uint32
	ModTime int64  // seconds of Unix time
	Link    string // target of a symbolic link
}

// Reasons for TarHeader.Unsafe.
var (
	ErrTarAbsolute = errors.New("absolute path in the archive")
	ErrTarElement  = errors.New("path with an element that is \"..\", \".\" or empty in the archive")
)

// ErrTarFormat is in every error about a malformed archive.
var ErrTarFormat = errors.New("malformed tar archive from the server")

func tarErrorf(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrTarFormat, fmt.Sprintf(format, a...))
}

const tarBlock = 512

// tarState is what the parser expects next.
type tarState uint8

const (
	tarHeader  tarState = iota // a header block
	tarData                    // contents of a file
	tarMeta                    // contents of an extension header
	tarPadding                 // up to the next block
	tarTrailer                 // zeroes to the end
)

// TarReader parses a tar archive that is pushed into it in pieces of any size: ustar, names of GNU tar, and the path, linkpath, size and mtime of pax headers.
// Contents are handed on without a copy. An archive may end without its two blocks of zeroes, as those of servers before 15 do. The zero value is not usable.
type TarReader struct {
	h     TarHandler
	state tarState
	err   error

	block   [tarBlock]byte
	filled  int   // bytes in block
	left    int64 // bytes of contents, or of padding, to come
	pad     int64 // padding after the contents
	meta    []byte
	metaTyp byte
	over    tarOverrides
	header  TarHeader
	offset  int64 // of the archive, for error messages
}

// NewTarReader makes a parser for one archive.
func NewTarReader(h TarHandler) *TarReader { return &TarReader{h: h} }

// Reset makes the reader ready for another archive.
func (t *TarReader) Reset() { *t = TarReader{h: t.h, meta: t.meta[:0]} }

// Feed parses the next bytes of the archive. After an error it returns that error for ever.
func (t *TarReader) Feed(p []byte) error {
	for len(p) > 0 && t.err == nil {
		n, err := t.step(p)
		p = p[n:]
		t.offset += int64(n)
		t.err = err
	}
	return t.err
}

// Close is the end of the archive; it fails when a member is incomplete.
func (t *TarReader) Close() error {
	switch {
	case t.err != nil:
	case t.state == tarHeader && t.filled == 0 && t.over == tarOverrides{}, t.state == tarTrailer:
	case t.state == tarPadding: // the padding of the last member is no loss
	case t.state == tarData:
		t.err = tarErrorf("it ends inside of %q, %d bytes are missing", t.header.RawName, t.left)
	default:
		t.err = tarErrorf("it ends inside of a header")
	}
	return t.err
}

// step consumes at least one byte of p.
func (t *TarReader) step(p []byte) (int, error) {
	switch t.state {
	case tarData:
		n := int(min(int64(len(p)), t.left))
		t.left -= int64(n)
		if err := t.h.Data(p[:n:n]); err != nil || t.left > 0 {
			return n, err
		}
		return n, t.endMember()
	case tarMeta:
		n := int(min(int64(len(p)), t.left))
		t.left -= int64(n)
		t.meta = append(t.meta, p[:n]...)
		if t.left > 0 {
			return n, nil
		}
		t.skipPadding()
		return n, t.over.apply(t.metaTyp, t.meta)
	case tarPadding:
		n := int(min(int64(len(p)), t.left))
		if t.left -= int64(n); t.left == 0 {
			t.state = tarHeader
		}
		return n, nil
	case tarTrailer:
		if !allZero(p) {
			return len(p), tarErrorf("data after its end, near byte %d", t.offset)
		}
		return len(p), nil
	}
	if t.filled == 0 && len(p) >= tarBlock {
		return tarBlock, t.beginMember(p[:tarBlock])
	}
	n := copy(t.block[t.filled:], p)
	if t.filled += n; t.filled < tarBlock {
		return n, nil
	}
	t.filled = 0
	return n, t.beginMember(t.block[:])
}

// skipPadding goes on to the next block.
func (t *TarReader) skipPadding() {
	t.state, t.left = tarHeader, t.pad
	if t.pad > 0 {
		t.state = tarPadding
	}
}

func (t *TarReader) endMember() error {
	t.skipPadding()
	return t.h.End()
}

// beginMember parses a header block.
func (t *TarReader) beginMember(b []byte) error {
	if allZero(b) {
		if t.over != (tarOverrides{}) {
			return tarErrorf("it ends after an extension header")
		}
		t.state = tarTrailer
		return nil
	}
	typ, err := parseTarHeader(b, &t.header)
	if err != nil {
		return fmt.Errorf("%w (byte %d of the archive)", err, t.offset)
	}
	t.left = t.header.Size
	t.pad = -t.left & (tarBlock - 1)
	switch typ {
	case 'x', 'g', 'L', 'K':
		return t.beginMeta(typ)
	case 'S':
		return tarErrorf("%q is a sparse file, which no server sends", t.header.RawName)
	}
	t.over.finish(&t.header, typ)
	t.over = tarOverrides{}
	t.left = t.header.Size
	t.pad = -t.left & (tarBlock - 1)
	if err := t.h.Header(&t.header); err != nil {
		return err
	}
	if t.left == 0 {
		return t.endMember()
	}
	t.state = tarData
	return nil
}

func allZero(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}
