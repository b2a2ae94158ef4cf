package messages

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// pgbenchChunk looks like 256 KiB of pgbench_accounts: pages of 61 tuples with increasing keys, zero balances and 84 spaces each.
func pgbenchChunk() []byte {
	le := binary.LittleEndian
	raw := make([]byte, ChunkSize)
	aid := uint32(1)
	for p := 0; p < len(raw); p += 8192 {
		page := raw[p : p+8192]
		le.PutUint64(page, 0x0000_0000_1600_0000+uint64(p))
		le.PutUint16(page[12:], 24+61*4)
		le.PutUint16(page[14:], 8192-61*128)
		le.PutUint16(page[16:], 8192)
		le.PutUint16(page[18:], 8192|4)
		for i := range 61 {
			at := 8192 - (i+1)*128
			le.PutUint32(page[24+4*i:], uint32(at)|1<<15|121<<17)
			t := page[at:]
			le.PutUint32(t, 737)
			le.PutUint16(t[18:], 4)
			le.PutUint16(t[20:], 0x0902)
			t[22] = 24
			le.PutUint32(t[24:], aid)
			le.PutUint32(t[28:], 1+aid/100000)
			t[36] = 0xab
			for j := 37; j < 121; j++ {
				t[j] = ' '
			}
			aid++
		}
	}
	return raw
}

func randomChunk(seed uint64, n int) []byte {
	raw := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	rng.Read(raw)
	return raw
}

func BenchmarkAppendData(b *testing.B) {
	inputs := []struct {
		name string
		raw  []byte
	}{{"pgbench", pgbenchChunk()}, {"random", randomChunk(1, ChunkSize)}, {"zero", make([]byte, ChunkSize)}}
	for _, codec := range []Codec{CodecNone, CodecLZ4, CodecZstd} {
		for _, in := range inputs {
			b.Run(fmt.Sprintf("codec=%d/%s", codec, in.name), func(b *testing.B) {
				c := NewCompressor(codec, 0)
				var dst []byte
				r := Record{Path: "base/5/16384"}
				b.SetBytes(int64(len(in.raw)))
				b.ReportAllocs()
				for b.Loop() {
					dst = c.AppendData(dst[:0], &r, in.raw)
				}
				b.ReportMetric(float64(len(in.raw))/float64(len(dst)), "ratio")
			})
		}
	}
}

func BenchmarkDecompress(b *testing.B) {
	for _, codec := range []Codec{CodecNone, CodecLZ4, CodecZstd} {
		b.Run(fmt.Sprintf("codec=%d", codec), func(b *testing.B) {
			var r Record
			msg := NewCompressor(codec, 0).AppendData(nil, &Record{Path: "base/5/16384"}, pgbenchChunk())
			if err := NewReader(msg).Next(&r); err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, ChunkSize)
			b.SetBytes(ChunkSize)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Decompress(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSums(b *testing.B) {
	raw := randomChunk(1, ChunkSize)
	c := NewCompressor(CodecNone, 0)
	b.Run("together", func(b *testing.B) {
		b.SetBytes(ChunkSize)
		for b.Loop() {
			c.sums(raw)
		}
	})
	b.Run("one after the other", func(b *testing.B) {
		b.SetBytes(ChunkSize)
		for b.Loop() {
			CRC32C(raw)
			Hash128(raw)
		}
	})
}

func BenchmarkIsZero(b *testing.B) {
	raw := make([]byte, ChunkSize)
	b.SetBytes(ChunkSize)
	for b.Loop() {
		if !isZero(raw) {
			b.Fatal("not zero")
		}
	}
}

func BenchmarkNext(b *testing.B) {
	var msg []byte
	for i := range 64 {
		msg = AppendRecord(msg, &Record{Kind: KindDirectory, Path: "base/5", Offset: int64(i)})
	}
	var r Record
	d := NewReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		d.Reset(msg)
		for d.Next(&r) == nil {
		}
	}
}

func BenchmarkCombineCRC32C(b *testing.B) {
	for _, n := range []int64{ChunkSize, ChunkSize - 1, 1 << 30} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				CombineCRC32C(1, 2, n)
			}
		})
	}
}
