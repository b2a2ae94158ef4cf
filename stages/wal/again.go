package wal

import (
	"fmt"
	"hash/crc32"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// again compares the last segment, which the server sends once more over each new connection, with what was captured of it. A server that was set back
// to an earlier moment, or that lost WAL in a crash, writes other WAL at the same positions: what follows does not belong to what is here then, and no
// position shows it once the server has caught up. A standby takes the segment from its start for the same reason (RequestXLogStreaming in
// walreceiverfuncs.c).
type again struct {
	crc   uint32 // of the captured bytes of the last segment
	known bool   // crc is right

	comparing bool
	next      postgres.LSN // next byte to compare
	seen      uint32       // of the bytes that were sent once more
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// wrote takes in bytes at an offset of a segment.
func (a *again) wrote(off int64, p []byte) {
	if off == 0 {
		a.crc, a.known = 0, true
	}
	a.crc = crc32.Update(a.crc, castagnoli, p)
}

// from returns where streaming begins, with pos the next byte that is wanted.
func (a *again) from(pos postgres.LSN, size int64) postgres.LSN {
	start := (pos - 1).SegmentStart(size)
	a.comparing, a.next, a.seen = a.known, start, 0
	if !a.comparing {
		return pos
	}
	return start
}

// removed reports whether the server may have removed what is to be compared, rather than what is wanted, and compares it no more.
func (a *again) removed(pos postgres.LSN, size int64) bool {
	if !a.comparing || pos.SegmentOffset(size) != 0 {
		return false
	}
	a.known, a.comparing = false, false
	return true
}

// compare takes bytes at start, and returns how many of them are before pos.
func (a *again) compare(start postgres.LSN, p []byte, pos postgres.LSN) (int, error) {
	if start != a.next {
		return 0, fmt.Errorf("got WAL data at %s, expected %s", start, a.next)
	}
	n := int(min(uint64(len(p)), uint64(pos-start)))
	a.seen = crc32.Update(a.seen, castagnoli, p[:n])
	a.next += postgres.LSN(n)
	if a.next < pos {
		return n, nil
	}
	a.comparing = false
	if a.seen != a.crc {
		return n, setBack(pos)
	}
	return n, nil
}

// setBack is the error of a server whose WAL is not what it was before pos.
func setBack(pos postgres.LSN) error {
	return fmt.Errorf("the server's WAL before %s is not what it was when it was captured: the server was set back to an earlier moment, or lost WAL in a crash; "+
		"the backup cannot be used, remove what it has written and take another one", pos)
}

// segmentSum collects the checksums of the pieces of one segment, the last one that the index speaks of.
type segmentSum struct {
	start  postgres.LSN
	pieces map[postgres.LSN]messages.PartChunk
}

// add takes in a piece; what belongs to an earlier segment is forgotten.
func (s *segmentSum) add(at postgres.LSN, c messages.PartChunk, size int64) {
	switch start := at.SegmentStart(size); {
	case s.pieces == nil || start > s.start:
		s.start, s.pieces = start, map[postgres.LSN]messages.PartChunk{at: c}
	case start == s.start:
		s.pieces[at] = c
	}
}

// upTo returns the checksum of the segment's bytes before end, if the pieces are all there.
func (s *segmentSum) upTo(end postgres.LSN) (crc uint32, known bool) {
	at := s.start
	for at < end {
		c, ok := s.pieces[at]
		if !ok || c.Len == 0 {
			return 0, false
		}
		crc = messages.CombineCRC32C(crc, c.CRC, int64(c.Len))
		at += postgres.LSN(c.Len)
	}
	return crc, at == end && s.pieces != nil
}
