package messages

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// corpus adds the golden files whose names begin with one of the prefixes, whole, cut and with a byte changed. With -update they are written
// to testdata/fuzz as well, so that fuzzing elsewhere starts from them.
func corpus(f *testing.F, prefixes ...string) {
	f.Helper()
	files, err := os.ReadDir(filepath.Join("testdata", "golden"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		for _, p := range prefixes {
			if !strings.HasPrefix(file.Name(), p) {
				continue
			}
			b := readGolden(f, file.Name())
			damaged := bytes.Clone(b)
			damaged[len(b)/2] ^= 0x55
			f.Add(b)
			f.Add(b[:len(b)*2/3])
			f.Add(damaged)
			if *update {
				dir := filepath.Join("testdata", "fuzz", f.Name())
				name := filepath.Join(dir, strings.TrimSuffix(file.Name(), filepath.Ext(file.Name())))
				if err := os.MkdirAll(dir, 0o755); err != nil {
					f.Fatal(err)
				}
				if err := os.WriteFile(name, []byte("go test fuzz v1\n[]byte("+strconv.Quote(string(b))+")\n"), 0o644); err != nil {
					f.Fatal(err)
				}
			}
		}
	}
}

// FuzzReader reads messages of records. What is accepted must come out again byte for byte.
func FuzzReader(f *testing.F) {
	corpus(f, "record-")
	f.Fuzz(func(t *testing.T, msg []byte) {
		msg = repairRecord(msg)
		d := NewReader(msg)
		var r Record
		for {
			at := d.at
			err := d.Next(&r)
			if err != nil {
				if err != io.EOF && d.at != at {
					t.Fatal("went on after an error")
				}
				return
			}
			if err := ValidPath(r.Path); err != nil {
				t.Fatal(err)
			}
			in := msg[at:d.at]
			if in[13] != 0 {
				continue // reserved: read, not kept
			}
			if out := AppendRecord(nil, &r); !bytes.Equal(out, in) {
				t.Fatalf("%x became %x", in, out)
			}
		}
	})
}

// repairRecord sets the right sum in the first record's header: random changes would otherwise end at the sum and try nothing behind it.
// Half of the inputs, by their last bit, stay as they are.
func repairRecord(msg []byte) []byte {
	if len(msg) < HeaderSize || msg[len(msg)-1]&1 != 0 {
		return msg
	}
	end := HeaderSize + int(binary.LittleEndian.Uint16(msg[14:]))
	if end > len(msg) {
		return msg
	}
	msg = bytes.Clone(msg)
	binary.LittleEndian.PutUint32(msg[80:], headerSum(msg[:end]))
	return msg
}

// FuzzDecompress takes payloads apart with every codec; the sums of the header do not protect here.
func FuzzDecompress(f *testing.F) {
	lz, zs := Record{}, Record{}
	for _, raw := range [][]byte{goldenRaw, bytes.Repeat([]byte("0123456789abcdef"), 100), pgbenchChunk()[:8192]} {
		l := NewCompressor(CodecLZ4, 0).AppendData(nil, &lz, raw)
		z := NewCompressor(CodecZstd, 0).AppendData(nil, &zs, raw)
		f.Add(byte(CodecLZ4), uint32(len(raw)), lz.CRC, l[HeaderSize:])
		f.Add(byte(CodecZstd), uint32(len(raw)), zs.CRC, z[HeaderSize:])
		f.Add(byte(CodecNone), uint32(len(raw)), zs.CRC, raw)
	}
	f.Add(byte(CodecZero), uint32(8192), zerosCRC32C(8192), []byte(nil))
	f.Add(byte(CodecZero), uint32(0xffffffff), uint32(0), []byte(nil))
	f.Fuzz(func(t *testing.T, codec byte, rawLen, crc uint32, payload []byte) {
		r := Record{Kind: KindData, Codec: Codec(codec), RawLen: rawLen, CRC: crc, Payload: payload}
		raw, err := r.Decompress(nil)
		if err != nil {
			if raw != nil {
				t.Fatal("bytes beside an error")
			}
			return
		}
		if len(raw) != int(rawLen) || CRC32C(raw) != crc || len(raw) > MaxChunkSize {
			t.Fatalf("%d bytes with CRC %#x, want %d with %#x", len(raw), CRC32C(raw), rawLen, crc)
		}
		again, err := r.Decompress(make([]byte, 0, MaxChunkSize))
		if err != nil || !bytes.Equal(raw, again) {
			t.Fatalf("into a buffer: %d bytes, %v", len(again), err)
		}
	})
}

// FuzzCompress takes any bytes through each codec and back.
func FuzzCompress(f *testing.F) {
	f.Add(goldenRaw)
	f.Add([]byte{})
	f.Add(make([]byte, 100))
	f.Add(append(randomChunk(11, 100), make([]byte, 1000)...))
	lz, zs := NewCompressor(CodecLZ4, 0), NewCompressor(CodecZstd, 0)
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = raw[:min(len(raw), MaxChunkSize)]
		for _, c := range []*Compressor{lz, zs} {
			r := Record{Path: "f"}
			r = readOne(t, c.AppendData(nil, &r, raw))
			if back, err := r.Decompress(nil); err != nil || !bytes.Equal(back, raw) {
				t.Fatalf("codec %d: %x, %v", r.Codec, back, err)
			}
		}
	})
}

// FuzzPartChunks reads the payload of parts whose sum is right.
func FuzzPartChunks(f *testing.F) {
	f.Add(readOnePayload(AppendPart(nil, &Record{Path: "f"}, goldenParts())))
	f.Add(make([]byte, partChunkSize+1))
	f.Add(bytes.Repeat([]byte{0xff}, partChunkSize))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := Record{Kind: KindPart, Path: "f", Payload: payload, CRC: CRC32C(payload)}
		chunks, err := r.PartChunks(nil)
		if err != nil {
			return
		}
		if again := readOnePayload(AppendPart(nil, &r, chunks)); !bytes.Equal(again, payload) {
			t.Fatalf("%x became %x", payload, again)
		}
	})
}

// readOnePayload cuts the payload out of a message of one record with a path of one byte.
func readOnePayload(msg []byte) []byte { return msg[HeaderSize+1:] }

// FuzzReceipts reads receipts. What is accepted must come out again byte for byte, but for the reserved bytes.
func FuzzReceipts(f *testing.F) {
	corpus(f, "receipts-")
	f.Fuzz(func(t *testing.T, msg []byte) {
		if n := len(msg) - 4; n >= receiptHeader && msg[5]&1 == 0 { // as in repairRecord
			msg = binary.LittleEndian.AppendUint32(bytes.Clone(msg[:n]), CRC32C(msg[:n]))
		}
		got, err := ReadReceipts(msg, nil)
		if err != nil {
			if len(got) != 0 {
				t.Fatal("receipts beside an error")
			}
			return
		}
		again, err := ReadReceipts(AppendReceipts(nil, got), nil)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
	})
}

// FuzzEvent reads events. What is accepted must survive being written and read, and so must its data.
func FuzzEvent(f *testing.F) {
	corpus(f, "event-")
	f.Add([]byte(`{"type":"note","version":1,"time":"9999-12-31T23:59:59.999999999-23:59"}`))
	f.Add([]byte(`{"type":"requested","version":1,"data":{"keep":1e300}}`))
	values := goldenEvents()
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvent(b)
		if err != nil {
			return
		}
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", b, err)
		}
		back, err := ParseEvent(out)
		if err != nil || back.Type != e.Type || back.Backup != e.Backup || !back.Time.Equal(e.Time.Round(time.Nanosecond)) {
			t.Fatalf("%s became %s, %v", b, out, err)
		}
		v := values[e.Type]
		if v == nil {
			return
		}
		data := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if e.Decode(data) != nil {
			return
		}
		again := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if err := NewEvent(e.Type, data).Decode(again); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	})
}

// FuzzValidPath compares with the rules spelled out.
func FuzzValidPath(f *testing.F) {
	for _, p := range []string{"", "a", "a/b", "a//b", "/a", "a/", "..", "a/../b", "./a", "a\x00"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		ok := p != "" && len(p) <= MaxPath && !strings.Contains(p, "\x00")
		for _, element := range strings.Split(p, "/") {
			ok = ok && element != "" && element != "." && element != ".."
		}
		if (ValidPath(p) == nil) != ok {
			t.Fatalf("%q: %v, want valid %v", p, ValidPath(p), ok)
		}
	})
}
