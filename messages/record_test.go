package messages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
)

// goldenRaw is the raw chunk of the golden data records: 96 bytes that every codec can shrink.
var goldenRaw = bytes.Repeat([]byte("polarcast page  "), 6)

// goldenLZ4 is goldenRaw. The compressed ones are kept as bytes, since a later version of a library may find shorter ones.
var (
	goldenLZ4 = append(append([]byte{0xff, 0x01}, "polarcast page  "...), 0x10, 0x00, 0x38, 0x50, 'a', 'g', 'e', ' ', ' ')
	// goldenZstd is 96 spaces: magic number, a single segment of 96 bytes, one last block of type RLE.
	goldenZstd = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 96, 0x03, 0x03, 0x00, ' '}
)

// goldenRecords has one record of each kind and codec, every field with a value of its own.
func goldenRecords() map[string]Record {
	spaces := bytes.Repeat([]byte{' '}, 96)
	data := func(c Codec, raw, payload []byte) Record {
		return Record{Kind: KindData, Codec: c, Tree: TreeShared, Session: 7, Path: "base/5/16384.1", Offset: 3 * ChunkSize, Size: 1 << 30,
			RawLen: uint32(len(raw)), CRC: CRC32C(raw), Mode: 0o600, MTime: 1795370096, UID: 26, GID: 27, Hash: Hash128(raw), Payload: payload}
	}
	return map[string]Record{
		"record-v1-data-none": data(CodecNone, goldenRaw, goldenRaw),
		"record-v1-data-lz4":  data(CodecLZ4, goldenRaw, goldenLZ4),
		"record-v1-data-zstd": data(CodecZstd, spaces, goldenZstd),
		"record-v1-data-zero": data(CodecZero, make([]byte, ChunkSize), nil),
		"record-v1-directory": {Kind: KindDirectory, Session: 1, Path: "pg_tblspc/16390/PG_15_202209061", Mode: 0o700, MTime: 1795370096, UID: 26, GID: 27},
		"record-v1-symlink":   {Kind: KindSymlink, Session: 2, Path: "pg_wal", Mode: 0o777, CRC: CRC32C([]byte("/mnt/wal")), Payload: []byte("/mnt/wal")},
		"record-v1-seal": {Kind: KindSeal, Flags: 1, Session: 0xfffffffe, Path: "PG_VERSION", Offset: 3, Size: 3, CRC: CRC32C([]byte("15\n")), Mode: 0o640,
			Payload: []byte("0123456789abcdef0123456789abcdef")},
		"record-v1-remove": {Kind: KindRemove, Session: 3, Path: "base/5/t3_16500"},
		"record-v1-end":    {Kind: KindEnd, Tree: TreeWAL, Session: 3, Path: EndPath},
	}
}

func TestGoldenRecords(t *testing.T) {
	for name, want := range goldenRecords() {
		t.Run(name, func(t *testing.T) {
			msg := golden(t, name+".hex", AppendRecord(nil, &want))
			var got Record
			d := NewReader(msg)
			if err := d.Next(&got); err != nil {
				t.Fatal(err)
			}
			if !same(got, want) {
				t.Errorf("read back\n got %+v\nwant %+v", got, want)
			}
			if err := d.Next(&got); err != io.EOF {
				t.Errorf("after the last record: %v, want io.EOF", err)
			}
			if want.Kind == KindData {
				raw, err := want.Decompress(nil)
				if err != nil || Hash128(raw) != want.Hash {
					t.Errorf("decompressed to %q, %v", raw, err)
				}
			}
		})
	}
}

// same compares records; a nil payload is an empty one.
func same(a, b Record) bool {
	pa, pb := a.Payload, b.Payload
	a.Payload, b.Payload = nil, nil
	return bytes.Equal(pa, pb) && reflect.DeepEqual(a, b)
}

// TestManyRecords reads a message of many records, with one reader for two messages.
func TestManyRecords(t *testing.T) {
	var msg []byte
	var want []Record
	for range 3 {
		for _, r := range goldenRecords() {
			msg = AppendRecord(msg, &r)
			want = append(want, r)
		}
	}
	d := NewReader(nil)
	for range 2 {
		d.Reset(msg)
		var got Record
		for i := range want {
			if err := d.Next(&got); err != nil {
				t.Fatal(err)
			}
			if !same(got, want[i]) {
				t.Fatalf("record %d\n got %+v\nwant %+v", i, got, want[i])
			}
		}
		if err := d.Next(&got); err != io.EOF {
			t.Fatal(err)
		}
	}
}

// TestTruncatedRecord cuts each golden record at every length.
func TestTruncatedRecord(t *testing.T) {
	for name, r := range goldenRecords() {
		msg := AppendRecord(nil, &r)
		for n := 1; n < len(msg); n++ {
			var got Record
			if err := NewReader(msg[:n:n]).Next(&got); !errors.Is(err, ErrTruncated) {
				t.Errorf("%s cut at %d: %v, want ErrTruncated", name, n, err)
			}
		}
	}
}

// TestDamagedRecord flips every bit of each golden record: either reading or decompressing must notice.
func TestDamagedRecord(t *testing.T) {
	for name, r := range goldenRecords() {
		if r.Kind == KindSeal {
			r.Payload = nil // a digest is its own check: it is compared with the manifest
		}
		msg := AppendRecord(nil, &r)
		for bit := range len(msg) * 8 {
			bad := bytes.Clone(msg)
			bad[bit/8] ^= 1 << (bit % 8)
			var got Record
			err := NewReader(bad).Next(&got)
			if err == nil && got.Kind == KindData {
				var raw []byte
				// A zstd frame has a bit without a meaning: what counts is that no other bytes come out.
				if raw, err = got.Decompress(nil); err == nil && Hash128(raw) == r.Hash && got.Path == r.Path {
					continue
				}
			}
			if err == nil {
				t.Errorf("%s: nobody noticed that bit %d of byte %d was flipped", name, bit%8, bit/8)
			}
		}
	}
}

// TestRefusedRecords holds the reader to the rules of each kind, on records whose sums are right.
func TestRefusedRecords(t *testing.T) {
	data := Record{Kind: KindData, Path: "a", RawLen: 4, Payload: []byte("page"), CRC: CRC32C([]byte("page"))}
	with := func(change func(*Record)) Record { r := data; change(&r); return r }
	tests := []struct {
		name string
		r    Record
		want error
	}{
		{"no kind", with(func(r *Record) { r.Kind = 0 }), ErrBadHeader},
		{"later kind", with(func(r *Record) { r.Kind = maxKind + 1 }), ErrFutureVersion},
		{"later codec", with(func(r *Record) { r.Codec = maxCodec + 1 }), ErrFutureVersion},
		{"later tree", with(func(r *Record) { r.Tree = maxTree + 1 }), ErrFutureVersion},
		{"huge chunk", with(func(r *Record) { r.RawLen = MaxChunkSize + 1 }), ErrTooLarge},
		{"negative offset", with(func(r *Record) { r.Offset = -1 }), ErrBadHeader},
		{"offset beyond the last byte", with(func(r *Record) { r.Offset = math.MaxInt64 - 1 }), ErrBadHeader},
		{"negative size", with(func(r *Record) { r.Size = -2 }), ErrBadHeader},
		{"raw payload of another length", with(func(r *Record) { r.RawLen = 5 }), ErrBadPayload},
		{"zeros with a payload", with(func(r *Record) { r.Codec = CodecZero }), ErrBadPayload},
		{"lz4 that does not shrink", with(func(r *Record) { r.Codec = CodecLZ4 }), ErrBadPayload},
		{"lz4 of nothing", with(func(r *Record) { r.Codec, r.Payload = CodecLZ4, nil }), ErrBadPayload},
		{"no path", with(func(r *Record) { r.Path = "" }), ErrBadPath},
		{"long path", with(func(r *Record) { r.Path = strings.Repeat("a", MaxPath+1) }), ErrBadPath},
		{"path that leads out", with(func(r *Record) { r.Path = "base/../../etc/passwd" }), ErrBadPath},
		{"directory with bytes", Record{Kind: KindDirectory, Path: "a", Payload: []byte("x")}, ErrBadPayload},
		{"compressed directory", Record{Kind: KindDirectory, Path: "a", Codec: CodecLZ4}, ErrBadHeader},
		{"link to nowhere", Record{Kind: KindSymlink, Path: "a"}, ErrBadPayload},
		{"link with a NUL", Record{Kind: KindSymlink, Path: "a", Payload: []byte("/x\x00y")}, ErrBadPayload},
		{"long link", Record{Kind: KindSymlink, Path: "a", Payload: bytes.Repeat([]byte("x"), MaxLink+1)}, ErrBadPayload},
		{"long digest", Record{Kind: KindSeal, Path: "a", Payload: make([]byte, MaxDigest+1)}, ErrBadPayload},
		{"part of a chunk", Record{Kind: KindPart, Path: "a", Payload: make([]byte, partChunkSize+1)}, ErrBadPayload},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Record
			d := NewReader(AppendRecord(nil, &tt.r))
			for range 2 { // it does not go on after an error
				if err := d.Next(&got); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
		})
	}
	var got Record
	if err := NewReader(AppendRecord(nil, &data)).Next(&got); err != nil {
		t.Errorf("the record that all others are made of: %v", err)
	}
}

// TestLinkGetsSum: nobody else makes one for it, and a damaged target would lead elsewhere.
func TestLinkGetsSum(t *testing.T) {
	r := Record{Kind: KindSymlink, Path: "pg_wal", Payload: []byte("/mnt/wal")}
	got := readOne(t, AppendRecord(nil, &r))
	if got.CRC != CRC32C(r.Payload) || r.CRC != 0 {
		t.Errorf("CRC %#x in the message, %#x in the caller's record", got.CRC, r.CRC)
	}
}

func TestReaderSaysWhere(t *testing.T) {
	r := Record{Kind: KindRemove, Path: "a"}
	msg := append(AppendRecord(nil, &r), "junk"...)
	d := NewReader(msg)
	if err := d.Next(&r); err != nil {
		t.Fatal(err)
	}
	err := d.Next(&r)
	if !errors.Is(err, ErrBadMagic) || !strings.Contains(err.Error(), "record at byte 85") {
		t.Errorf("got %v", err)
	}
}

func TestFutureRecord(t *testing.T) {
	msg := AppendRecord(nil, &Record{Kind: KindRemove, Path: "a"})
	msg[4] = recordVersion + 1 // its sum may be elsewhere: the version decides first
	var r Record
	if err := NewReader(msg).Next(&r); !errors.Is(err, ErrFutureVersion) {
		t.Errorf("got %v", err)
	}
	msg[4] = 0
	binary.LittleEndian.PutUint32(msg[80:], headerSum(msg))
	if err := NewReader(msg).Next(&r); !errors.Is(err, ErrBadHeader) {
		t.Errorf("version 0: %v", err)
	}
}
