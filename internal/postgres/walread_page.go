package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// walPageSize is XLOG_BLCKSZ in bytes; servers built with another one are refused.
const walPageSize = 8192

// Page header flags (xlog_internal.h).
const (
	xlpContRecord          = 0x0001 // the page begins with the rest of a record
	xlpLongHeader          = 0x0002 // first page of a segment
	xlpAllFlags            = 0x000F
	xlpOverwriteContRecord = 0x0008 // the record that should continue here was lost in a crash
)

// walMagics are XLOG_PAGE_MAGIC of each major. PolarDB 11 and 15 have those of PostgreSQL.
var walMagics = map[uint16]int{
	0xD098: 11, 0xD101: 12, 0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18,
}

// WALSegments opens segment files.
type WALSegments interface {
	// OpenSegment opens the segment whose first byte is at start, a multiple of the segment size. An error that is fs.ErrNotExist means that
	// the log ends before it.
	OpenSegment(start LSN) (WALSegment, error)
}

// WALSegment is one segment file. It may be shorter than the segment size.
type WALSegment interface {
	io.ReaderAt
	io.Closer
}

// WALDirectory reads the segments of one timeline in a directory such as pg_wal.
type WALDirectory struct {
	Path        string
	Timeline    uint32
	SegmentSize int64 // bytes
}

// OpenSegment opens the file of the segment, or its .partial when there is only that.
func (d WALDirectory) OpenSegment(start LSN) (WALSegment, error) {
	name := filepath.Join(d.Path, SegmentName(d.Timeline, start, d.SegmentSize))
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if partial, err2 := os.Open(name + ".partial"); err2 == nil {
			return partial, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// walPages reads pages through a window, so that a scan makes few and large reads.
type walPages struct {
	src      WALSegments
	segSize  int64
	seg      WALSegment
	segStart LSN
	window   []byte
	start    LSN // position of window[0]
	major    int
	magic    uint16
	systemID uint64
	timeline uint32
}

const walWindow = 256 << 10

type walPage struct {
	at        LSN
	data      []byte // may be shorter than a page at the end of a file
	info      uint16
	timeline  uint32
	remaining uint32 // bytes of a record that continues here
	header    int    // bytes
}

func (p *walPages) close() error {
	if p.seg == nil {
		return nil
	}
	err := p.seg.Close()
	p.seg = nil
	return err
}

// read gives the page at a page boundary, its header checked.
func (p *walPages) read(at LSN) (walPage, error) {
	if at < p.start || at >= p.start+LSN(len(p.window)) {
		if err := p.fill(at); err != nil {
			return walPage{}, err
		}
	}
	data := p.window[at-p.start:]
	page := walPage{at: at, data: data[:min(len(data), walPageSize)]}
	return page, p.check(&page)
}

func (p *walPages) fill(at LSN) error {
	segStart := at.SegmentStart(p.segSize)
	if p.seg == nil || segStart != p.segStart {
		if err := p.close(); err != nil {
			return err
		}
		seg, err := p.src.OpenSegment(segStart)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w at %s: %w", ErrWALEnd, at, err)
		}
		if err != nil {
			return fmt.Errorf("open the write-ahead log at %s: %w", segStart, err)
		}
		p.seg, p.segStart = seg, segStart
	}
	if p.window == nil {
		p.window = make([]byte, walWindow)
	}
	offset := at.SegmentOffset(p.segSize)
	p.start, p.window = at, p.window[:min(walWindow, p.segSize-offset)]
	n, err := p.seg.ReadAt(p.window, offset)
	p.window = p.window[:n]
	if err != nil && err != io.EOF {
		return fmt.Errorf("read the write-ahead log at %s: %w", at, err)
	}
	if n < 24 {
		p.window = p.window[:0]
		return fmt.Errorf("%w at %s: the file ends", ErrWALEnd, at)
	}
	return nil
}

// check is XLogReaderValidatePageHeader.
func (p *walPages) check(page *walPage) error {
	d, le := page.data, binary.LittleEndian
	if len(d) < 24 {
		return fmt.Errorf("%w at %s: the file ends", ErrWALEnd, page.at)
	}
	magic := le.Uint16(d)
	page.info, page.timeline, page.remaining, page.header = le.Uint16(d[2:]), le.Uint32(d[4:]), le.Uint32(d[16:]), 24
	switch {
	case magic == 0:
		return fmt.Errorf("%w at %s: the page is empty", ErrWALEnd, page.at)
	case p.magic == 0 && walMagics[magic] == 0:
		return fmt.Errorf("%w at %s: page magic %04X", ErrWALVersion, page.at, magic)
	case p.magic != 0 && magic != p.magic:
		return fmt.Errorf("%w at %s: page magic %04X, on the pages before %04X", ErrWALCorrupt, page.at, magic, p.magic)
	case LSN(le.Uint64(d[8:])) != page.at:
		// A recycled segment holds old pages behind the end of the log.
		return fmt.Errorf("%w at %s: the page belongs to %s", ErrWALEnd, page.at, LSN(le.Uint64(d[8:])))
	case page.info&^xlpAllFlags != 0:
		return fmt.Errorf("%w at %s: page flags %04X", ErrWALCorrupt, page.at, page.info)
	case page.timeline < p.timeline:
		return fmt.Errorf("%w at %s: timeline %d after timeline %d", ErrWALCorrupt, page.at, page.timeline, p.timeline)
	case page.info&xlpLongHeader != 0 != (page.at.SegmentOffset(p.segSize) == 0):
		return fmt.Errorf("%w at %s: the page header does not fit a segment size of %d bytes", ErrWALCorrupt, page.at, p.segSize)
	}
	if page.info&xlpLongHeader != 0 {
		if page.header = 40; len(d) < page.header {
			return fmt.Errorf("%w at %s: the file ends", ErrWALEnd, page.at)
		}
		if size, block := le.Uint32(d[32:]), le.Uint32(d[36:]); int64(size) != p.segSize || block != walPageSize {
			return fmt.Errorf("%w at %s: segment size %d and page size %d bytes, expected %d and %d", ErrWALCorrupt, page.at, size, block, p.segSize, walPageSize)
		}
		id := le.Uint64(d[24:])
		if p.systemID != 0 && p.systemID != id {
			return fmt.Errorf("%w at %s: system identifier %d, before it was %d", ErrWALCorrupt, page.at, id, p.systemID)
		}
		p.systemID = id
	}
	p.magic, p.major, p.timeline = magic, walMagics[magic], page.timeline
	return nil
}

// from gives the bytes of the page from at on.
func (p *walPage) from(at LSN) ([]byte, error) {
	offset := int(at - p.at)
	if offset%8 != 0 {
		return nil, fmt.Errorf("%w at %s: no record can begin here", ErrWALCorrupt, at)
	}
	if offset > len(p.data) {
		return nil, fmt.Errorf("%w at %s: the file ends", ErrWALEnd, at)
	}
	return p.data[offset:], nil
}
