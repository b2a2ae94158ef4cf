package wal

import (
	"bytes"
	"strings"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

const segment = 1 << 20

// stream sends b from position from in uneven pieces, as the server does, and returns what is new.
func stream(a *again, from, pos postgres.LSN, b []byte) (fresh []byte, err error) {
	for n := 7000; len(b) > 0; b = b[min(n, len(b)):] {
		p := b[:min(n, len(b))]
		at := from
		from += postgres.LSN(len(p))
		if a.comparing {
			k, err := a.compare(at, p, pos)
			if err != nil {
				return nil, err
			}
			p = p[k:]
		}
		fresh = append(fresh, p...)
	}
	return fresh, nil
}

func TestTheBegunSegmentIsComparedAfterAReconnect(t *testing.T) {
	wal := bytes.Repeat([]byte("write-ahead log "), segment/16)
	const base = 5 * segment
	for _, had := range []int{1, 300_000, segment - 1, segment} {
		var a again
		a.wrote(0, wal[:had/2])
		a.wrote(int64(had/2), wal[had/2:had])
		pos := postgres.LSN(base + had)
		if from := a.from(pos, segment); from != base {
			t.Fatalf("streaming goes on at %s, want the segment's start", from)
		}
		fresh, err := stream(&a, base, pos, wal)
		if err != nil || !bytes.Equal(fresh, wal[had:]) || a.comparing {
			t.Errorf("%d bytes had: %d new bytes, %v", had, len(fresh), err)
		}
		a.from(pos, segment)
		other := bytes.Clone(wal)
		other[had/2] ^= 1
		if _, err := stream(&a, base, pos, other); err == nil || !strings.Contains(err.Error(), "set back") {
			t.Errorf("%d bytes had: other WAL gives %v", had, err)
		}
	}
	var a again
	if from := a.from(base+10, segment); from != base+10 || a.comparing {
		t.Error("a segment whose beginning is not known cannot be compared")
	}
	a.wrote(0, wal)
	if from := a.from(base+segment, segment); from != base || a.removed(base+10, segment) || !a.removed(base+segment, segment) {
		t.Error("a whole segment is compared unless the server has removed it")
	}
	if from := a.from(base+segment, segment); from != base+segment || a.comparing {
		t.Error("what was removed is wanted again")
	}
}

func TestSumOfTheLastSegment(t *testing.T) {
	wal := bytes.Repeat([]byte("0123456789abcdef"), segment/16)
	piece := func(from, to int) messages.PartChunk {
		return messages.PartChunk{CRC: messages.CRC32C(wal[from:to]), Len: uint32(to - from)}
	}
	var s segmentSum
	s.add(segment, piece(0, 100), segment)
	s.add(2*segment, piece(0, 100), segment)
	s.add(2*segment+300, piece(300, 1000), segment)
	s.add(segment+100, piece(100, 200), segment) // late, of an earlier segment
	if _, known := s.upTo(2*segment + 1000); known {
		t.Error("there is a gap")
	}
	s.add(2*segment+100, piece(100, 300), segment)
	if crc, known := s.upTo(2*segment + 1000); !known || crc != messages.CRC32C(wal[:1000]) {
		t.Errorf("%08x %v", crc, known)
	}
	if _, known := s.upTo(2*segment + 999); known {
		t.Error("a piece goes beyond the end")
	}
}
