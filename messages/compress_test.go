package messages

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// readOne reads the only record of a message.
func readOne(t *testing.T, msg []byte) Record {
	t.Helper()
	var r Record
	d := NewReader(msg)
	if err := d.Next(&r); err != nil {
		t.Fatal(err)
	}
	if d.at != len(msg) {
		t.Fatalf("%d bytes after the record", len(msg)-d.at)
	}
	return r
}

func TestAppendDataRoundTrip(t *testing.T) {
	mixed := append(randomChunk(4, 100<<10), make([]byte, 100<<10)...)
	lengths := []int{0, 1, 2, 15, 16, 17, 31, 8192, ChunkSize - 1, ChunkSize, MaxChunkSize}
	for _, codec := range []Codec{CodecNone, CodecLZ4, CodecZstd} {
		c := NewCompressor(codec, 0)
		check := func(name string, raw []byte) {
			t.Helper()
			// Behind another record, so that nothing may be written before the end of dst.
			first := AppendRecord(nil, &Record{Kind: KindRemove, Path: "x"})
			r := Record{Session: 3, Path: "base/1/" + name, Offset: 8192, Size: -1, Mode: 0o600}
			msg := c.AppendData(bytes.Clone(first), &r, raw)
			if !bytes.HasPrefix(msg, first) {
				t.Fatalf("codec %d, %s: the record before was overwritten", codec, name)
			}
			got := readOne(t, msg[len(first):])
			want := r
			want.Payload = got.Payload
			if !same(got, want) || r.RawLen != uint32(len(raw)) || r.CRC != CRC32C(raw) || r.Hash != Hash128(raw) {
				t.Errorf("codec %d, %s: got %+v, AppendData left %+v", codec, name, got, r)
			}
			back, err := got.Decompress(make([]byte, 0, 100))
			if err != nil || !bytes.Equal(back, raw) {
				t.Errorf("codec %d, %s: %d bytes came back, %v", codec, name, len(back), err)
			}
			if len(got.Payload) > len(raw) {
				t.Errorf("codec %d, %s: %d bytes became %d", codec, name, len(raw), len(got.Payload))
			}
		}
		for _, n := range lengths {
			check(fmt.Sprint("random", n), randomChunk(5, n))
			check(fmt.Sprint("zero", n), make([]byte, n))
			check(fmt.Sprint("spaces", n), bytes.Repeat([]byte{' '}, n))
		}
		check("mixed", mixed)
		check("pgbench", pgbenchChunk())
	}
}

// TestCodecOfChunk says which codec is chosen for what.
func TestCodecOfChunk(t *testing.T) {
	// Compresses by less than a sixteenth: not worth the receiver's time.
	hardly := append(randomChunk(6, ChunkSize*31/32), make([]byte, ChunkSize/32)...)
	for _, codec := range []Codec{CodecLZ4, CodecZstd} {
		for _, tt := range []struct {
			name string
			raw  []byte
			want Codec
		}{
			{"pgbench", pgbenchChunk(), codec}, {"random", randomChunk(7, ChunkSize), CodecNone}, {"hardly", hardly, CodecNone},
			{"zero", make([]byte, ChunkSize), CodecZero}, {"empty", nil, CodecZero},
		} {
			r := Record{Path: tt.name}
			NewCompressor(codec, 0).AppendData(nil, &r, tt.raw)
			if r.Codec != tt.want {
				t.Errorf("codec %d, %s: %d, want %d", codec, tt.name, r.Codec, tt.want)
			}
		}
	}
}

// TestIncompressibleFile follows one file from random bytes to compressible ones: attempts become rare, and come back.
func TestIncompressibleFile(t *testing.T) {
	c := NewCompressor(CodecLZ4, 0)
	random, pages := randomChunk(8, ChunkSize), pgbenchChunk()
	put := func(path string, raw []byte) Codec {
		r := Record{Path: path}
		c.AppendData(nil, &r, raw)
		return r.Codec
	}
	for range 100 {
		if got := put("toast", random); got != CodecNone {
			t.Fatalf("random bytes got codec %d", got)
		}
	}
	if f := c.attempts.of("toast"); f.last != maxPause {
		t.Errorf("after 100 failures the pause is %d chunks, want %d", f.last, maxPause)
	}
	if got := put("heap", pages); got != CodecLZ4 {
		t.Errorf("another file must not suffer: codec %d", got)
	}
	n := 0
	for put("toast", pages) == CodecNone {
		if n++; n > maxPause {
			t.Fatalf("%d compressible chunks were left alone, want at most %d", n, maxPause)
		}
	}
	if got := put("toast", pages); got != CodecLZ4 {
		t.Errorf("after a success every chunk is tried: codec %d", got)
	}
}

// TestManyFiles has more files than the table of attempts: one must not inherit the failures of another that had its place.
func TestManyFiles(t *testing.T) {
	c := NewCompressor(CodecLZ4, 0)
	random, pages := randomChunk(12, 64<<10), pgbenchChunk()
	for i := range 4 * len(c.attempts.files) {
		r := Record{Path: fmt.Sprint("toast", i)}
		c.AppendData(nil, &r, random)
		r.Path = fmt.Sprint("heap", i)
		if c.AppendData(nil, &r, pages); r.Codec != CodecLZ4 {
			t.Fatalf("the first chunk of %s got codec %d", r.Path, r.Codec)
		}
	}
}

// TestSampleSparesAttempts shows that a file is judged by samples after a failure: a chunk that only compresses elsewhere is not tried.
func TestSampleSparesAttempts(t *testing.T) {
	c := NewCompressor(CodecLZ4, 0)
	random := randomChunk(9, ChunkSize)
	edges := bytes.Clone(random) // compressible in total, but not where the samples are taken
	clear(edges[:32<<10])
	r := Record{Path: "f"}
	c.AppendData(nil, &r, random) // failure: pause of one
	c.AppendData(nil, &r, random) // pause
	if c.AppendData(nil, &r, edges); r.Codec != CodecNone {
		t.Errorf("codec %d: the chunk was tried in spite of its samples", r.Codec)
	}
	r.Path = "g"
	if c.AppendData(nil, &r, edges); r.Codec != CodecLZ4 {
		t.Errorf("codec %d: the first chunk of a file is tried as a whole", r.Codec)
	}
}

func TestDecompressRefuses(t *testing.T) {
	page := bytes.Repeat([]byte("page"), 100)
	lz4 := Record{Path: "f"}
	msg := NewCompressor(CodecLZ4, 0).AppendData(nil, &lz4, page)
	lz4 = readOne(t, msg)
	zs := Record{Path: "f"}
	msg = NewCompressor(CodecZstd, 19).AppendData(nil, &zs, page)
	zs = readOne(t, msg)
	with := func(r Record, change func(*Record)) Record { change(&r); return r }
	for _, tt := range []struct {
		name string
		r    Record
		want error
	}{
		{"checksum of lz4", with(lz4, func(r *Record) { r.CRC++ }), ErrChecksum},
		{"checksum of raw bytes", Record{RawLen: 1, Payload: []byte("a"), CRC: 1}, ErrChecksum},
		{"checksum of zeros", Record{Codec: CodecZero, RawLen: 8192, CRC: 1}, ErrChecksum},
		{"cut lz4", with(lz4, func(r *Record) { r.Payload = r.Payload[:len(r.Payload)-3] }), ErrBadPayload},
		{"cut zstd", with(zs, func(r *Record) { r.Payload = r.Payload[:len(r.Payload)-3] }), ErrBadPayload},
		{"fewer bytes than lz4 holds", with(lz4, func(r *Record) { r.RawLen-- }), ErrBadPayload},
		{"more bytes than lz4 holds", with(lz4, func(r *Record) { r.RawLen++ }), ErrBadPayload},
		{"more bytes than zstd holds", with(zs, func(r *Record) { r.RawLen++ }), ErrBadPayload},
		{"raw bytes of another length", Record{RawLen: 2, Payload: []byte("a")}, ErrBadPayload},
		{"more than lz4 can shrink", Record{Codec: CodecLZ4, RawLen: MaxChunkSize, Payload: make([]byte, 10)}, ErrBadPayload},
		{"huge", Record{Codec: CodecZero, RawLen: MaxChunkSize + 1}, ErrTooLarge},
		{"later codec", Record{Codec: maxCodec + 1}, ErrFutureVersion},
	} {
		if raw, err := tt.r.Decompress(nil); !errors.Is(err, tt.want) || raw != nil {
			t.Errorf("%s: %d bytes, %v; want %v", tt.name, len(raw), err, tt.want)
		}
	}
}

// TestDecompressUsesBuffer holds Decompress to its word about memory.
func TestDecompressUsesBuffer(t *testing.T) {
	for _, codec := range []Codec{CodecLZ4, CodecZstd} {
		buf := bytes.Repeat([]byte{0xee}, ChunkSize)
		r := Record{Path: "f"}
		r = readOne(t, NewCompressor(codec, 0).AppendData(nil, &r, pgbenchChunk()))
		raw, err := r.Decompress(buf[:0])
		if err != nil || &raw[0] != &buf[0] {
			t.Errorf("codec %d: not in the buffer, %v", codec, err)
		}
	}
	buf := bytes.Repeat([]byte{0xee}, 100)
	r := Record{Codec: CodecZero, RawLen: 100, CRC: zerosCRC32C(100)}
	if raw, err := r.Decompress(buf); err != nil || &raw[0] != &buf[0] || !isZero(raw) {
		t.Errorf("zeros: %x, %v", raw, err)
	}
	r = Record{RawLen: 4, Payload: []byte("page"), CRC: CRC32C([]byte("page"))}
	if raw, err := r.Decompress(buf); err != nil || &raw[0] != &r.Payload[0] {
		t.Errorf("raw bytes were copied, %v", err)
	}
}

func TestParseCodec(t *testing.T) {
	for s, want := range map[string]Codec{"": CodecLZ4, "lz4": CodecLZ4, "none": CodecNone, "zstd": CodecZstd} {
		if got, level := ParseCodec(s); got != want || level != 0 {
			t.Errorf("%q: %d, %d", s, got, level)
		}
	}
	if got, level := ParseCodec("zstd:9"); got != CodecZstd || level != 9 {
		t.Errorf("zstd:9: %d, %d", got, level)
	}
}

// TestNothingAllocates holds the paths of the data to their word, once the buffers have grown.
func TestNothingAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c, zs := NewCompressor(CodecLZ4, 0), NewCompressor(CodecZstd, 0)
	pages, random, zero := pgbenchChunk(), randomChunk(10, ChunkSize), make([]byte, ChunkSize)
	r := Record{Path: "base/5/16384"}
	dst := make([]byte, 0, 2*ChunkSize)
	msg := c.AppendData(nil, &r, pages)
	msg = c.AppendData(msg, &r, zero)
	msg = AppendPart(msg, &r, make([]PartChunk, 100))
	receipts := AppendReceipts(nil, make([]Receipt, 0))
	raw, parts := make([]byte, 0, ChunkSize), make([]PartChunk, 0, 100)
	d := NewReader(msg)
	var last Record // a record that is used again spares a new reader its path
	huge := Record{Codec: CodecLZ4, RawLen: MaxChunkSize, Payload: make([]byte, 10)}
	for name, f := range map[string]func(){
		"lz4":    func() { c.AppendData(dst, &r, pages) },
		"zstd":   func() { zs.AppendData(dst, &r, pages) },
		"random": func() { c.AppendData(dst, &r, random) },
		"zero":   func() { c.AppendData(dst, &r, zero) },
		"read": func() {
			d.Reset(msg)
			var got Record
			for d.Next(&got) == nil {
				if got.Kind == KindPart {
					parts, _ = got.PartChunks(parts[:0])
				} else if _, err := got.Decompress(raw); err != nil {
					t.Error(err)
				}
			}
		},
		"read with a new reader": func() {
			var d Reader
			d.Reset(msg)
			for d.Next(&last) == nil {
			}
		},
		"refuse a huge claim": func() { huge.Decompress(nil) },
		"append record":       func() { AppendRecord(dst, &r) },
		"receipts":            func() { AppendReceipts(dst, nil); ReadReceipts(receipts, nil) },
		"path key":            func() { PathKey(TreeLocal, r.Path) },
		"combine":             func() { CombineCRC32C(1, 2, ChunkSize+1) },
	} {
		f() // tables and decoders are made once
		if n := testing.AllocsPerRun(100, f); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
