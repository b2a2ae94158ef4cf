package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Errors of WALReader.
var (
	// ErrWALEnd: the log ends before the position that was asked for: a segment file is missing or short, or only zeroes follow.
	ErrWALEnd = errors.New("the write-ahead log ends early")
	// ErrWALCorrupt: what is there is no valid log.
	ErrWALCorrupt = errors.New("invalid write-ahead log")
	// ErrWALVersion: the page magic belongs to no major from 11 to 18.
	ErrWALVersion = errors.New("unknown version of the write-ahead log")
)

// maxWALRecord bounds one record in bytes (XLogRecordMaxSize, and the largest palloc before 16).
const maxWALRecord = 1 << 30

const walRecordHeader = 24 // SizeOfXLogRecord

// WALReader iterates over the records of a range of write-ahead log, as written by PostgreSQL 11 to 18 and PolarDB 11 and 15: pages and segments are
// crossed, every CRC and every back link is checked. It is not safe for concurrent use.
type WALReader struct {
	pages walPages
	next  LSN // where the next record begins, or a page boundary before it
	end   LSN
	prev  LSN // the last record, 0 before the first
	first bool
	buf   []byte // a record that crosses pages
}

// WALRecord is one record. Its slices are valid until the next call of Next.
type WALRecord struct {
	LSN, End LSN // End is where the next record may begin
	Prev     LSN
	Timeline uint32 // of the page where the record begins
	XID      uint32
	CRC      uint32 // of the record, as its header has it
	Rmgr     uint8
	Info     uint8 // with the lower four bits, which belong to the log itself
	Data     []byte
	Major    int // 11 to 18, from the page magic
	// Overwritten is the position of an unfinished record that a crash left behind before this one, else 0.
	Overwritten LSN
}

// NewWALReader reads the records that begin in [start, end). start is the beginning of a record (a redo or checkpoint position, a backup's start position) or
// a page boundary; from a page boundary reading begins with the first record that begins on or after that page. end must be the end
// of a record for the range to be read without ErrWALEnd. segSize is in bytes.
func NewWALReader(src WALSegments, segSize int64, start, end LSN) (*WALReader, error) {
	if !ValidSegmentSize(segSize) {
		return nil, fmt.Errorf("invalid WAL segment size %d bytes: a power of two from 1 MiB to 1 GiB is expected", segSize)
	}
	return &WALReader{pages: walPages{src: src, segSize: segSize}, next: start, end: end, first: true}, nil
}

// Close closes the segment file that is open.
func (r *WALReader) Close() error { return r.pages.close() }

// Major is the major version that wrote the log, 0 before the first record.
func (r *WALReader) Major() int { return r.pages.major }

// SystemID is the system identifier in the segments that were opened, 0 before the first.
func (r *WALReader) SystemID() uint64 { return r.pages.systemID }

// Next reads the next record. It returns io.EOF when the next record begins at or after the end of the range, and an error that wraps ErrWALEnd, ErrWALCorrupt or
// ErrWALVersion and names the position.
func (r *WALReader) Next(rec *WALRecord) error {
	var overwritten LSN
	for {
		at, page, err := r.locate()
		if err != nil {
			return err
		}
		data, end, again, err := r.assemble(at, page)
		if err != nil {
			return err
		}
		if again {
			overwritten = at
			continue
		}
		if err := r.decodeHeader(rec, at, data); err != nil {
			return err
		}
		rec.End, rec.Timeline, rec.Overwritten = end, page.timeline, overwritten
		if rec.Rmgr == RmgrXLOG && rec.Info&0xF0 == xlogSwitch && end%LSN(r.pages.segSize) != 0 {
			rec.End = end.SegmentStart(r.pages.segSize) + LSN(r.pages.segSize) // the rest of the segment is unused
		}
		r.next, r.prev, r.first = rec.End, at, false
		return nil
	}
}

// locate finds the position of the next record and its page.
func (r *WALReader) locate() (LSN, walPage, error) {
	for {
		if r.next >= r.end {
			return 0, walPage{}, io.EOF
		}
		offset := int(r.next % walPageSize)
		page, err := r.pages.read(r.next - LSN(offset))
		if err != nil {
			return 0, page, err
		}
		switch {
		case offset >= page.header:
			return r.next, page, nil
		case offset != 0:
			return 0, page, fmt.Errorf("%w at %s: the position lies inside a page header", ErrWALCorrupt, r.next)
		case page.info&xlpContRecord == 0:
			r.next += LSN(page.header)
		case !r.first:
			return 0, page, fmt.Errorf("%w at %s: a record continues here, but none is unfinished", ErrWALCorrupt, r.next)
		case (int(page.remaining)+7)&^7 >= walPageSize-page.header:
			r.next += walPageSize // a record from before the range fills this page
		default:
			r.next += LSN(page.header + (int(page.remaining)+7)&^7)
		}
	}
}

// assemble collects the bytes of the record at at. again is true when a crash left it unfinished; r.next is then where the log goes on.
func (r *WALReader) assemble(at LSN, page walPage) (data []byte, end LSN, again bool, err error) {
	rest, err := page.from(at)
	if err != nil {
		return nil, 0, false, err
	}
	if len(rest) < 4 {
		return nil, 0, false, fmt.Errorf("%w at %s: the file ends", ErrWALEnd, at)
	}
	total := int(binary.LittleEndian.Uint32(rest))
	switch {
	case total == 0:
		return nil, 0, false, fmt.Errorf("%w at %s: no record follows", ErrWALEnd, at)
	case total < walRecordHeader || total > maxWALRecord:
		return nil, 0, false, fmt.Errorf("%w at %s: record length %d", ErrWALCorrupt, at, total)
	}
	room := walPageSize - int(at%walPageSize)
	if total <= room {
		if total > len(rest) {
			return nil, 0, false, fmt.Errorf("%w at %s: the file ends inside the record", ErrWALEnd, at)
		}
		return rest[:total], (at + LSN(total) + 7) &^ 7, false, nil
	}
	if len(rest) < room {
		return nil, 0, false, fmt.Errorf("%w at %s: the file ends inside the record", ErrWALEnd, at)
	}
	r.buf = append(r.buf[:0], rest[:room]...)
	for pos := at - at%walPageSize; len(r.buf) < total; {
		pos += walPageSize
		page, err := r.pages.read(pos)
		if err != nil {
			return nil, 0, false, fmt.Errorf("record at %s: %w", at, err)
		}
		if page.info&xlpOverwriteContRecord != 0 {
			r.next = pos
			return nil, 0, true, nil
		}
		if page.info&xlpContRecord == 0 || int(page.remaining) != total-len(r.buf) {
			return nil, 0, false, fmt.Errorf("%w at %s: the record does not continue on page %s", ErrWALCorrupt, at, pos)
		}
		part := page.data[page.header:]
		if n := total - len(r.buf); n <= walPageSize-page.header {
			if n > len(part) {
				return nil, 0, false, fmt.Errorf("%w at %s: the file ends inside the record", ErrWALEnd, at)
			}
			part = part[:n]
			end = pos + LSN(page.header+(n+7)&^7)
		} else if len(page.data) < walPageSize {
			return nil, 0, false, fmt.Errorf("%w at %s: the file ends inside the record", ErrWALEnd, at)
		}
		r.buf = append(r.buf, part...)
	}
	return r.buf, end, false, nil
}

func (r *WALReader) decodeHeader(rec *WALRecord, at LSN, data []byte) error {
	le := binary.LittleEndian
	*rec = WALRecord{LSN: at, XID: le.Uint32(data[4:]), Prev: LSN(le.Uint64(data[8:])), Info: data[16], Rmgr: data[17], Data: data, Major: r.pages.major}
	crc := crc32.Update(crc32.Checksum(data[walRecordHeader:], castagnoli), castagnoli, data[:20])
	rec.CRC = crc
	if want := le.Uint32(data[20:]); crc != want {
		return fmt.Errorf("%w at %s: the record's checksum is %08X, calculated %08X", ErrWALCorrupt, at, want, crc)
	}
	if r.first && rec.Prev >= at || !r.first && rec.Prev != r.prev {
		return fmt.Errorf("%w at %s: the record's back link is %s, the record before it is at %s", ErrWALCorrupt, at, rec.Prev, r.prev)
	}
	return nil
}
