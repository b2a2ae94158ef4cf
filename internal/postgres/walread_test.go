package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// walBuilder writes log by hand, in segments of 1 MiB.
type walBuilder struct {
	magic    uint16
	timeline uint32
	start    LSN
	data     []byte
	prev     LSN
	records  []LSN
}

func newWALBuilder(magic uint16, start LSN) *walBuilder {
	return &walBuilder{magic: magic, timeline: 1, start: start}
}

func (b *walBuilder) pos() LSN { return b.start + LSN(len(b.data)) }

func (b *walBuilder) page(flags uint16, remaining int) {
	h := make([]byte, 24)
	long := b.pos()%(1<<20) == 0
	if long {
		h = make([]byte, 40)
		flags |= xlpLongHeader
	}
	le := binary.LittleEndian
	le.PutUint16(h, b.magic)
	le.PutUint16(h[2:], flags)
	le.PutUint32(h[4:], b.timeline)
	le.PutUint64(h[8:], uint64(b.pos()))
	le.PutUint32(h[16:], uint32(remaining))
	if long {
		le.PutUint64(h[24:], 4711)
		le.PutUint32(h[32:], 1<<20)
		le.PutUint32(h[36:], walPageSize)
	}
	b.data = append(b.data, h...)
}

// record appends a record with main data of the given length or content and returns its position.
func (b *walBuilder) record(rmgr, info uint8, main []byte) LSN {
	rec := make([]byte, walRecordHeader, walRecordHeader+5+len(main))
	if len(main) < 256 {
		rec = append(rec, blockIDDataShort, byte(len(main)))
	} else {
		rec = binary.LittleEndian.AppendUint32(append(rec, blockIDDataLong), uint32(len(main)))
	}
	rec = append(rec, main...)
	if len(main) == 0 {
		rec = rec[:walRecordHeader]
	}
	le := binary.LittleEndian
	le.PutUint32(rec, uint32(len(rec)))
	le.PutUint64(rec[8:], uint64(b.prev))
	rec[16], rec[17] = info, rmgr
	le.PutUint32(rec[20:], crc32.Update(crc32.Checksum(rec[walRecordHeader:], castagnoli), castagnoli, rec[:20]))
	if b.pos()%walPageSize == 0 {
		b.page(0, 0)
	}
	at := b.pos()
	for {
		n := min(len(rec), walPageSize-int(b.pos()%walPageSize))
		b.data = append(b.data, rec[:n]...)
		if rec = rec[n:]; len(rec) == 0 {
			break
		}
		b.page(xlpContRecord, len(rec))
	}
	b.pad(8)
	b.prev = at
	b.records = append(b.records, at)
	return at
}

func (b *walBuilder) pad(to int) {
	for int(b.pos())%to != 0 {
		b.data = append(b.data, 0)
	}
}

func (b *walBuilder) reader(t testing.TB, start, end LSN) *WALReader {
	t.Helper()
	r, err := NewWALReader(memoryWAL{b.start, b.data, 1 << 20}, 1<<20, start, end)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(r *WALReader) (at []LSN, err error) {
	var rec WALRecord
	for {
		if err = r.Next(&rec); err != nil {
			if err == io.EOF {
				err = nil
			}
			return at, err
		}
		at = append(at, rec.LSN)
	}
}

const (
	testRmgr  = 21 // LogicalMessage
	testMagic = 0xD110
)

func TestWALRecordsAcrossPagesAndSegments(t *testing.T) {
	b := newWALBuilder(testMagic, 0x500000)
	for i := range 400 {
		b.record(testRmgr, 0, make([]byte, i*i%40000))
		if i == 200 {
			b.record(RmgrXLOG, xlogSwitch, nil)
			for b.pos()%(1<<20) != 0 { // a real server fills the rest with zeroes behind page headers
				b.data = append(b.data, 0)
			}
		}
	}
	end := b.pos()
	got, err := readAll(b.reader(t, b.start, end))
	if err != nil || !slices.Equal(got, b.records) {
		t.Fatalf("%d of %d records: %v", len(got), len(b.records), err)
	}
	// From any record, and from any page: the first record that begins on or after it.
	for _, i := range []int{0, 1, 57, 201, 300} {
		if got, err := readAll(b.reader(t, b.records[i], end)); err != nil || !slices.Equal(got, b.records[i:]) {
			t.Errorf("from record %d: %d records, %v", i, len(got), err)
		}
	}
	for page := b.start; page < end; page += 37 * walPageSize {
		i, _ := slices.BinarySearch(b.records, page)
		if i == 0 || b.records[i-1] > page {
			continue
		}
		if s := b.records[200+1]; page > s && page <= s.SegmentStart(1<<20)+1<<20 {
			continue // unused pages behind the switch
		}
		if got, err := readAll(b.reader(t, page, end)); err != nil || !slices.Equal(got, b.records[i:]) {
			t.Errorf("from page %s: %d records, want %d: %v", page, len(got), len(b.records)-i, err)
		}
	}
	// The range ends where it ends, and log behind it does not matter.
	if got, err := readAll(b.reader(t, b.start, b.records[100])); err != nil || len(got) != 100 {
		t.Errorf("%d records, %v", len(got), err)
	}
	if _, err := readAll(b.reader(t, b.start, end+8)); !errors.Is(err, ErrWALEnd) {
		t.Errorf("behind the end: %v", err)
	}
}

// A record that a crash cut off at a page boundary, and how the server goes on from there since 14 (and the last minors of 11 to 13).
func TestWALOverwrittenRecord(t *testing.T) {
	b := newWALBuilder(testMagic, 0x500000)
	for range 10 {
		b.record(testRmgr, 0, make([]byte, 100))
	}
	prev := b.prev
	lost := b.record(testRmgr, 0, make([]byte, 30000))
	b.records = b.records[:10]
	b.prev = prev
	b.data = b.data[:2*walPageSize] // two pages were written
	b.page(xlpOverwriteContRecord, 0)
	main := binary.LittleEndian.AppendUint64(nil, uint64(lost))
	want := b.record(RmgrXLOG, xlogOverwriteContRecord, append(main, make([]byte, 8)...))
	b.record(testRmgr, 0, make([]byte, 50))
	r := b.reader(t, b.start, b.pos())
	var rec, seen WALRecord
	var got []LSN
	for r.Next(&rec) == nil {
		got = append(got, rec.LSN)
		if rec.Overwritten != 0 {
			seen = rec
		}
	}
	if !slices.Equal(got, b.records) || seen.LSN != want || seen.Overwritten != lost || seen.Kind() != WALOverwriteContRecord {
		t.Errorf("got %v, overwritten %+v, want %v", got, seen, b.records)
	}
}

func TestWALErrors(t *testing.T) {
	build := func() *walBuilder {
		b := newWALBuilder(testMagic, 0x500000)
		for range 30 {
			b.record(testRmgr, 0, make([]byte, 1000))
		}
		return b
	}
	le := binary.LittleEndian
	for what, c := range map[string]struct {
		edit func(b *walBuilder)
		want error
	}{
		"a changed byte":            {func(b *walBuilder) { b.data[20000]++ }, ErrWALCorrupt},
		"a changed back link":       {func(b *walBuilder) { b.prev = 0x500100; b.record(testRmgr, 0, nil) }, ErrWALCorrupt},
		"zeroes":                    {func(b *walBuilder) { clear(b.data[2*walPageSize:]) }, ErrWALEnd},
		"a short file":              {func(b *walBuilder) { b.data = b.data[:20000] }, ErrWALEnd},
		"a file cut in a header":    {func(b *walBuilder) { b.data = b.data[:walPageSize+10] }, ErrWALEnd},
		"no file":                   {func(b *walBuilder) { b.data = nil }, ErrWALEnd},
		"an old page":               {func(b *walBuilder) { le.PutUint64(b.data[walPageSize+8:], 0x300000) }, ErrWALEnd},
		"another major's page":      {func(b *walBuilder) { le.PutUint16(b.data[walPageSize:], 0xD113) }, ErrWALCorrupt},
		"unknown magic":             {func(b *walBuilder) { le.PutUint16(b.data, 0xD199) }, ErrWALVersion},
		"unknown page flags":        {func(b *walBuilder) { b.data[walPageSize+3] = 1 }, ErrWALCorrupt},
		"no continuation":           {func(b *walBuilder) { b.data[walPageSize+2] = 0 }, ErrWALCorrupt},
		"another length to come":    {func(b *walBuilder) { b.data[walPageSize+16]++ }, ErrWALCorrupt},
		"an older timeline":         {func(b *walBuilder) { le.PutUint32(b.data[walPageSize+4:], 0) }, ErrWALCorrupt},
		"another segment size":      {func(b *walBuilder) { le.PutUint32(b.data[32:], 16<<20) }, ErrWALCorrupt},
		"a tiny record":             {func(b *walBuilder) { le.PutUint32(b.data[40:], 10) }, ErrWALCorrupt},
		"an enormous record":        {func(b *walBuilder) { le.PutUint32(b.data[40:], math.MaxUint32) }, ErrWALCorrupt},
		"a record longer than that": {func(b *walBuilder) { le.PutUint32(b.data[40:], 1<<29) }, ErrWALCorrupt},
	} {
		b := build()
		end := b.pos() + 100
		c.edit(b)
		if _, err := readAll(b.reader(t, b.start, end)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	b := build()
	for _, start := range []LSN{b.records[3] + 8, b.records[3] + 1, b.start + 8, b.start + walPageSize + 16} {
		if _, err := readAll(b.reader(t, start, b.pos())); err == nil {
			t.Errorf("records were read from %s, where none begins", start)
		}
	}
	if _, err := NewWALReader(nil, 12345, 0, 1); err == nil {
		t.Error("an invalid segment size was accepted")
	}
	denied := openError{os.ErrPermission}
	r, _ := NewWALReader(denied, 1<<20, 0x500000, 0x500100)
	if _, err := readAll(r); !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrWALEnd) {
		t.Error(err)
	}
}

type openError struct{ err error }

func (e openError) OpenSegment(LSN) (WALSegment, error) { return nil, e.err }

func TestWALDirectory(t *testing.T) {
	b := newWALBuilder(testMagic, 0x500000)
	for range 1500 {
		b.record(testRmgr, 0, make([]byte, 1000))
	}
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "000000010000000000000005"), b.data[:1<<20], 0o600)
	os.WriteFile(filepath.Join(dir, "000000010000000000000006.partial"), b.data[1<<20:], 0o600)
	r, err := NewWALReader(WALDirectory{dir, 1, 1 << 20}, 1<<20, b.start, b.pos())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := readAll(r); err != nil || len(got) != 1500 || r.SystemID() != 4711 || r.Major() != 15 {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// checkpointData is the payload of a checkpoint record of version 12 and later.
func checkpointData(fpw bool, prevTLI uint32) []byte {
	b := make([]byte, 88)
	binary.LittleEndian.PutUint32(b[8:], 1)
	binary.LittleEndian.PutUint32(b[12:], prevTLI)
	if fpw {
		b[16] = 1
	}
	return b
}

func TestScanWALWindow(t *testing.T) {
	scan := func(build func(b *walBuilder)) string {
		t.Helper()
		b := newWALBuilder(testMagic, 0x500000)
		b.record(testRmgr, 0, make([]byte, 10))
		build(b)
		var w WALWindow
		if err := w.Scan(t.Context(), b.reader(t, b.start, b.pos()), nil); err != nil {
			return err.Error()
		}
		var reasons []string
		for _, f := range w.Findings {
			reasons = append(reasons, f.Reason)
		}
		return strings.Join(reasons, "; ")
	}
	shutdown := func(b *walBuilder) { b.record(RmgrXLOG, xlogCheckpointShutdown, checkpointData(true, 1)) }
	online := func(b *walBuilder) { b.record(RmgrXLOG, xlogCheckpointOnline, checkpointData(true, 1)) }
	for want, build := range map[string]func(b *walBuilder){
		"": func(b *walBuilder) {
			online(b)
			shutdown(b)
			online(b)
			shutdown(b)
			b.record(RmgrXLOG, xlogBackupEnd, make([]byte, 8))
			b.record(RmgrDatabase, 0x10, make([]byte, 8)) // CREATE_WAL_LOG
			b.record(RmgrTablespace, 0x10, make([]byte, 4))
			p := make([]byte, 28)
			p[20] = 1
			b.record(RmgrXLOG, xlogParameterChange, p)
		},
		"two shutdown checkpoints without an online checkpoint between: full_page_writes may have been off in the meantime": func(b *walBuilder) { shutdown(b); shutdown(b); shutdown(b) },
		"a checkpoint was made with full_page_writes off":                                                                   func(b *walBuilder) { b.record(RmgrXLOG, xlogCheckpointOnline, checkpointData(false, 1)) },
		"a server was promoted, from timeline 7 to 1":                                                                       func(b *walBuilder) { b.record(RmgrXLOG, xlogCheckpointShutdown, checkpointData(true, 7)) },
		"a server was promoted, from timeline 0 to 0":                                                                       func(b *walBuilder) { b.record(RmgrXLOG, xlogEndOfRecovery, make([]byte, 16)) },
		"full_page_writes was switched, now on":                                                                             func(b *walBuilder) { b.record(RmgrXLOG, xlogFPWChange, []byte{1}) },
		"full_page_writes was switched, now off":                                                                            func(b *walBuilder) { b.record(RmgrXLOG, xlogFPWChange, []byte{0}) },
		"wal_level was set to minimal":                                                                                      func(b *walBuilder) { b.record(RmgrXLOG, xlogParameterChange, make([]byte, 28)) },
		"database 0 was created by copying files":                                                                           func(b *walBuilder) { b.record(RmgrDatabase, 0, make([]byte, 16)) },
		"tablespace 7 was created at \"/x\"":                                                                                func(b *walBuilder) { b.record(RmgrTablespace, 0, []byte("\x07\x00\x00\x00/x\x00")) },
		"invalid write-ahead log: record at 0/500050: its payload is too short for FPW_CHANGE":                              func(b *walBuilder) { b.record(RmgrXLOG, xlogFPWChange, nil) },
	} {
		if got := scan(build); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestScanWALWindowTimeline(t *testing.T) {
	b := newWALBuilder(testMagic, 0x500000)
	b.record(testRmgr, 0, make([]byte, 10000))
	b.timeline = 2
	b.record(testRmgr, 0, make([]byte, 10000))
	b.record(testRmgr, 0, nil)
	var w WALWindow
	if err := w.Scan(t.Context(), b.reader(t, b.start, b.pos()), nil); err != nil || len(w.Findings) != 1 || w.Findings[0].Reason != "timeline 2 begins" {
		t.Errorf("%+v, %v", w, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := new(WALWindow).Scan(ctx, b.reader(t, b.start, b.pos()), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// PolarDB 11 uses the numbers of later records for its own; they must not be taken for those.
func TestWALKindsDependOnTheMajor(t *testing.T) {
	for major, want := range map[int]WALKind{11: WALOther, 16: WALOther, 17: WALCheckpointRedo} {
		r := WALRecord{Rmgr: RmgrXLOG, Info: xlogCheckpointRedo, Major: major}
		if got := r.Kind(); got != want {
			t.Errorf("%d: %v", major, got)
		}
	}
	if r := (WALRecord{Rmgr: RmgrXLOG, Info: xlogOverwriteContRecord, Major: 11}); r.Kind() != WALOther {
		t.Error(r.Kind())
	}
}

func FuzzWALReader(f *testing.F) {
	names, _ := filepath.Glob("testdata/wal/*.gz")
	for _, name := range names {
		w, _, _, _ := walFixture(f, name)
		f.Add(w.data[:3*walPageSize], uint64(w.start))
	}
	b := newWALBuilder(testMagic, 0x500000)
	b.record(testRmgr, 0, make([]byte, 20000))
	f.Add(b.data, uint64(b.start))
	f.Fuzz(func(t *testing.T, data []byte, start uint64) {
		base := LSN(start).SegmentStart(1 << 20)
		if base > math.MaxUint64-1<<30 {
			return
		}
		r, err := NewWALReader(memoryWAL{base, data, 1 << 20}, 1<<20, LSN(start), LSN(start)+1<<22)
		if err != nil {
			t.Fatal(err)
		}
		var rec WALRecord
		for last := LSN(0); ; last = rec.LSN {
			if r.Next(&rec) != nil {
				return
			}
			if rec.LSN <= last && last != 0 || rec.End <= rec.LSN {
				t.Fatalf("from %s to %s, ends %s", last, rec.LSN, rec.End)
			}
		}
	})
}

// Records with a valid CRC but a body that makes no sense.
// TestWALWindowGoesOn ends a scan after each record in turn and goes on in a new window, as another process does: it finds the same, and refuses a log whose
// last record is another one.
func TestWALWindowGoesOn(t *testing.T) {
	build := func(payload byte) *walBuilder {
		b := newWALBuilder(testMagic, 0x500000)
		b.record(testRmgr, 0, make([]byte, 10000))
		b.record(RmgrXLOG, xlogCheckpointShutdown, checkpointData(true, 1))
		b.record(testRmgr, 0, []byte{payload})
		b.record(testRmgr, 0, make([]byte, 10000))
		b.record(RmgrXLOG, xlogCheckpointShutdown, checkpointData(true, 1))
		b.record(testRmgr, 0, []byte{payload})
		return b
	}
	b, other := build(1), build(2)
	enough := errors.New("enough")
	for stop := int64(1); stop <= 6; stop++ {
		var w WALWindow
		err := w.Scan(t.Context(), b.reader(t, b.start, b.pos()), func() error {
			if w.Records == stop {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatalf("after %d records: %v", stop, err)
		}
		known := WALWindow{LastRecord: w.LastRecord, End: w.End, LastCRC: w.LastCRC, Timeline: w.Timeline, Shutdowns: w.Shutdowns}
		rest := known
		if err := rest.Scan(t.Context(), b.reader(t, w.LastRecord, b.pos()), nil); err != nil || rest.Records != 6-stop || rest.End != b.pos() {
			t.Errorf("after %d records: %+v, %v", stop, rest, err)
		}
		if found := len(w.Findings) + len(rest.Findings); found != 1 {
			t.Errorf("after %d records: %d findings, want that of two shutdowns once", stop, found)
		}
		err = known.Scan(t.Context(), other.reader(t, w.LastRecord, b.pos()), nil)
		if same := stop == 1 || stop == 2 || stop == 4 || stop == 5; errors.Is(err, ErrWALOther) == same {
			t.Errorf("after %d records, of another log: %v", stop, err)
		}
	}
}

func FuzzWALRecord(f *testing.F) {
	f.Add([]byte{0, 0x10, 0, 0, 10, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, uint8(0), uint8(0x80), 15)
	f.Add([]byte{255, 3, 1, 2, 3}, uint8(0), uint8(0x50), 11)
	f.Add([]byte{253, 1, 1, 252, 1, 1, 1, 1, 254, 0, 1, 0, 0}, uint8(4), uint8(0), 18)
	f.Fuzz(func(t *testing.T, body []byte, rmgr, info uint8, major int) {
		r := WALRecord{Rmgr: rmgr, Info: info, Major: major, Data: append(make([]byte, walRecordHeader), body...)}
		if main, err := r.MainData(); err == nil && len(main) > len(body) {
			t.Fatal("more data than there is")
		} else if err != nil && !errors.Is(err, ErrWALCorrupt) {
			t.Fatal(err)
		}
		r.Blocks()
		new(WALWindow).judge(&r)
		r.RestorePoint()
	})
}
