package messages

import (
	"encoding/hex"
	"testing"
)

// TestSums pins the sums of known bytes: the first is the check value of CRC-32/ISCSI.
func TestSums(t *testing.T) {
	if got := CRC32C([]byte("123456789")); got != 0xe3069283 {
		t.Errorf("CRC32C = %#x", got)
	}
	h := Hash128([]byte("123456789"))
	if got, want := hex.EncodeToString(h[:]), "b0be7c71627d3a6ea0035f2677b8c9c3"; got != want {
		t.Errorf("Hash128 = %s, want %s", got, want)
	}
}

// TestSumsTogether compares the one pass of the compressor with the two functions, around its block length.
func TestSumsTogether(t *testing.T) {
	c := NewCompressor(CodecNone, 0)
	raw := randomChunk(2, 2*sumBlock+100)
	for _, n := range []int{0, 1, 31, 32, 33, sumBlock - 1, sumBlock, sumBlock + 1, 2 * sumBlock, len(raw)} {
		crc, hash := c.sums(raw[:n])
		if crc != CRC32C(raw[:n]) || hash != Hash128(raw[:n]) {
			t.Errorf("%d bytes: %#x, %x", n, crc, hash)
		}
	}
}

func TestCombineCRC32C(t *testing.T) {
	raw := randomChunk(3, ChunkSize+5000)
	for _, lenB := range []int{0, 1, 2, 3, 7, 255, 256, 8192, 65537, ChunkSize - 1, ChunkSize, ChunkSize + 1, len(raw)} {
		a, b := raw[:len(raw)-lenB], raw[len(raw)-lenB:]
		if got, want := CombineCRC32C(CRC32C(a), CRC32C(b), int64(lenB)), CRC32C(raw); got != want {
			t.Errorf("last %d bytes: %#x, want %#x", lenB, got, want)
		}
	}
}

// TestCombineLong puts files together that are too long to be summed directly: the ways of doing it must agree.
func TestCombineLong(t *testing.T) {
	a, b, c := uint32(0x12345678), uint32(0x9abcdef0), uint32(0x0fedcba9)
	lenB, lenC := int64(1)<<40+12345, int64(1)<<52+1
	left := CombineCRC32C(CombineCRC32C(a, b, lenB), c, lenC)
	right := CombineCRC32C(a, CombineCRC32C(b, c, lenC), lenB+lenC)
	if left != right {
		t.Errorf("%#x and %#x", left, right)
	}
}

func TestZerosCRC32C(t *testing.T) {
	for _, n := range []int{0, 1, 4095, ChunkSize, MaxChunkSize} {
		if got, want := zerosCRC32C(n), CRC32C(make([]byte, n)); got != want {
			t.Errorf("%d zeros: %#x, want %#x", n, got, want)
		}
	}
}

func TestIsZero(t *testing.T) {
	b := make([]byte, 3*len(zeros)+7)
	for _, n := range []int{0, 1, 31, len(zeros), len(zeros) + 1, len(b)} {
		if !isZero(b[:n]) {
			t.Errorf("%d zeros are not zero", n)
		}
	}
	for i := range b {
		b[i] = 1
		if isZero(b) {
			t.Errorf("a 1 at %d is zero", i)
		}
		b[i] = 0
	}
}
