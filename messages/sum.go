package messages

import (
	"hash/crc32"
	"sync"

	"github.com/minio/highwayhash"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is the checksum that PostgreSQL's manifests and control files use.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func updateCRC32C(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// hashKey is part of the format: hashes of different runs and hosts are compared.
var hashKey = [32]byte{'p', 'o', 'l', 'a', 'r', 'c', 'a', 's', 't', ' ', 'c', 'h', 'u', 'n', 'k', ' ', 'h', 'a', 's', 'h', ' ', 'v', '1'}

// Hash128 is the HighwayHash-128 of raw bytes with the format's key. It decides whether two chunks are equal.
func Hash128(raw []byte) [16]byte { return highwayhash.Sum128(raw, hashKey[:]) }

// PathKey names a file in receipts.
func PathKey(t Tree, path string) uint64 {
	var b [MaxPath + 1]byte
	b[0] = byte(t)
	n := copy(b[1:], path)
	return highwayhash.Sum64(b[:1+n], hashKey[:])
}

// crcOperator is the effect of appending a number of zero bytes on a CRC, as a matrix over GF(2).
type crcOperator [32]uint32

func (m *crcOperator) times(v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m *crcOperator) square() (out crcOperator) {
	for i := range m {
		out[i] = m.times(m[i])
	}
	return out
}

func (m *crcOperator) mul(o *crcOperator) (out crcOperator) {
	for i := range o {
		out[i] = m.times(o[i])
	}
	return out
}

// zeroPowers[i] appends 2^i zero bytes.
var zeroPowers = sync.OnceValue(func() (p [48]crcOperator) {
	var bit crcOperator
	bit[0] = crc32.Castagnoli
	for i := 1; i < 32; i++ {
		bit[i] = 1 << (i - 1)
	}
	p[0] = bit
	for range 3 { // one bit, two, four, eight
		p[0] = p[0].square()
	}
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1].square()
	}
	return p
})

var chunkOperator = sync.OnceValue(func() crcOperator { return zeroOperator(ChunkSize) })

func zeroOperator(n int64) crcOperator {
	var out crcOperator
	for i := range out {
		out[i] = 1 << i
	}
	p := zeroPowers()
	for i := 0; n != 0 && i < len(p); i, n = i+1, n>>1 {
		if n&1 != 0 {
			out = p[i].mul(&out)
		}
	}
	return out
}

// CombineCRC32C returns the CRC32C of two pieces one after the other, from their CRCs and the second one's length in bytes.
func CombineCRC32C(a, b uint32, lenB int64) uint32 {
	if lenB <= 0 {
		return a
	}
	if lenB == ChunkSize {
		op := chunkOperator()
		return op.times(a) ^ b
	}
	p := zeroPowers()
	for i := 0; lenB != 0 && i < len(p); i, lenB = i+1, lenB>>1 {
		if lenB&1 != 0 {
			a = p[i].times(a)
		}
	}
	return a ^ b
}
