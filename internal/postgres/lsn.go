package postgres

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log, in bytes from its beginning (XLogRecPtr). 0 is no position.
type LSN uint64

// String gives the form of the server, "16/B374D848".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN reads the form of the server, two hexadecimal numbers of at most eight digits (pg_lsn_in).
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	h, err1 := parseHex32(hi)
	l, err2 := parseHex32(lo)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("invalid write-ahead log location %q: two hexadecimal numbers with a slash between them are expected, as in 16/B374D848", s)
	}
	return LSN(h)<<32 | LSN(l), nil
}

// parseHex32 accepts 1 to 8 hexadecimal digits and nothing else; strconv alone would also take a sign.
func parseHex32(s string) (uint32, error) {
	if len(s) < 1 || len(s) > 8 || s[0] == '+' || s[0] == '-' {
		return 0, strconv.ErrSyntax
	}
	v, err := strconv.ParseUint(s, 16, 32)
	return uint32(v), err
}

// ValidSegmentSize says whether size (bytes) is a WAL segment size that a server can have: a power of two from 1 MiB to 1 GiB
// (IsValidWalSegSize in xlog_internal.h). PolarDB 15's default is 1 GiB.
func ValidSegmentSize(size int64) bool {
	return size >= 1<<20 && size <= 1<<30 && size&(size-1) == 0
}

// Segment is the number of the segment that holds l; size in bytes must be valid (ValidSegmentSize).
func (l LSN) Segment(size int64) uint64 { return uint64(l) / uint64(size) }

// SegmentOffset is the offset of l inside its segment, in bytes.
func (l LSN) SegmentOffset(size int64) int64 { return int64(uint64(l) % uint64(size)) }

// SegmentStart is the position of the first byte of the segment that holds l.
func (l LSN) SegmentStart(size int64) LSN { return l - LSN(l.SegmentOffset(size)) }

// SegmentName is the name of the file that holds lsn on timeline tli, 24 hexadecimal digits (XLogFileName).
func SegmentName(tli uint32, lsn LSN, segSize int64) string {
	perID := uint64(1<<32) / uint64(segSize)
	no := lsn.Segment(segSize)
	return fmt.Sprintf("%08X%08X%08X", tli, no/perID, no%perID)
}

// ParseSegmentName gives the timeline and the position of the first byte of the segment file called name.
func ParseSegmentName(name string, segSize int64) (tli uint32, start LSN, err error) {
	if !ValidSegmentSize(segSize) {
		return 0, 0, fmt.Errorf("invalid WAL segment size %d bytes: a power of two from 1 MiB to 1 GiB is expected", segSize)
	}
	if !IsSegmentName(name) {
		return 0, 0, fmt.Errorf("%q is not the name of a WAL segment: 24 hexadecimal digits are expected", name)
	}
	t, _ := strconv.ParseUint(name[:8], 16, 32)
	id, _ := strconv.ParseUint(name[8:16], 16, 32)
	seg, _ := strconv.ParseUint(name[16:], 16, 32)
	if seg >= uint64(1<<32)/uint64(segSize) {
		return 0, 0, fmt.Errorf("%q is not the name of a WAL segment of %d bytes: its last number is too large", name, segSize)
	}
	return uint32(t), LSN(id<<32 + seg*uint64(segSize)), nil
}

// IsSegmentName says whether name has the form of a WAL segment, 24 upper-case hexadecimal digits (IsXLogFileName).
func IsSegmentName(name string) bool { return len(name) == 24 && allUpperHex(name) }

// HistoryName is the name of the history file of timeline tli (TLHistoryFileName).
func HistoryName(tli uint32) string { return fmt.Sprintf("%08X.history", tli) }

// IsHistoryName says whether name has the form of a timeline history file.
func IsHistoryName(name string) bool {
	return len(name) == len("00000001.history") && allUpperHex(name[:8]) && name[8:] == ".history"
}

func allUpperHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
