package tablespace

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/stages/work"
)

const testPage = 8192

// page is a valid page with a checksum, last changed at an LSN.
func page(block uint32, lsn uint64, seed uint64) []byte {
	b := make([]byte, testPage)
	r := rand.New(rand.NewPCG(seed, uint64(block)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	le := binary.LittleEndian
	le.PutUint32(b, uint32(lsn>>32))
	le.PutUint32(b[4:], uint32(lsn))
	le.PutUint16(b[14:], 4000)
	le.PutUint16(b[8:], postgres.PageChecksum(b, block))
	return b
}

// tornFile gives pages half old and half new for a number of looks, then as they are.
type tornFile struct {
	old, now []byte
	looks    int
	flip     bool // which half is old changes at each look
}

func (f *tornFile) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, f.now[off:])
	if f.looks > 0 {
		f.looks--
		for at := 0; at+testPage <= n; at += testPage {
			half := at
			if f.flip && f.looks%2 == 1 {
				half += testPage / 2
			}
			copy(p[half:half+testPage/2], f.old[int(off)+half:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *tornFile) Close() error { return nil }

// TestTornPagesWithoutImages has a server that writes no full page images: pages are younger than the start of the backup and torn, and must be delivered
// whole all the same. With images they pass as they are, for replay repairs them.
func TestTornPagesWithoutImages(t *testing.T) {
	const pages, start = 16, 1000
	old, now := []byte{}, []byte{}
	for block := range uint32(pages) {
		before := page(block, 500, 1)
		if block%4 == 3 {
			before = make([]byte, testPage) // the file has just been extended
		}
		old = append(old, before...)
		now = append(now, page(block, 2000, 2)...)
	}
	for name, c := range map[string]struct {
		start postgres.LSN
		whole bool
	}{"without images": {noImages, true}, "with images": {start, false}} {
		t.Run(name, func(t *testing.T) {
			f := &tornFile{old: old, now: now, looks: 4, flip: true}
			s := &Files{}
			check := s.pageCheck(&pageRules{size: testPage, segmentBlocks: 131072, start: c.start}, 1)
			b := make([]byte, len(now))
			if _, err := f.ReadAt(b, 0); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(b, now) {
				t.Fatal("nothing was torn")
			}
			if err := check.check(t.Context(), f, work.File{Path: "base/5/16384"}, b, 0); err != nil {
				t.Fatal(err)
			}
			if whole := bytes.Equal(b, now); whole != c.whole {
				t.Errorf("the pages that are delivered are whole: %v, want %v; %d were read again", whole, c.whole, s.retried.Load())
			}
		})
	}
}

// TestRestlessPage has a page that is torn at every look: with images it passes, without it is called bad.
func TestRestlessPage(t *testing.T) {
	for start, want := range map[postgres.LSN]bool{1000: true, noImages: false} {
		f := &tornFile{old: page(0, 500, 1), now: page(0, 600, 2), looks: 1 << 20, flip: true}
		c := (&Files{}).pageCheck(&pageRules{size: testPage, segmentBlocks: 131072, start: start}, 1)
		b := make([]byte, testPage)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if len(c.p.verify(nil, b, 0)) != 1 {
			t.Fatal("the torn page is not bad")
		}
		good, err := c.again(t.Context(), f, b, 0, 0)
		if err != nil || good != want {
			t.Errorf("with images from %s on the page passes: %v (%v), want %v", start, good, err, want)
		}
	}
}
