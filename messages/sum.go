package messages

import (
	"hash/crc32"

	"github.com/minio/highwayhash"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is the checksum that PostgreSQL's manifests and control files use (src/port/pg_crc32c_sb8.c), here for transport damage.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func updateCRC32C(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// hashKey is part of the format: hashes of different runs, hosts and versions are compared. It is the text and nine zero bytes.
var hashKey = [32]byte{'p', 'o', 'l', 'a', 'r', 'c', 'a', 's', 't', ' ', 'c', 'h', 'u', 'n', 'k', ' ', 'h', 'a', 's', 'h', ' ', 'v', '1'}

// Hash128 is the HighwayHash-128 of raw bytes with the format's key. It decides whether two chunks are equal.
func Hash128(raw []byte) [16]byte { return highwayhash.Sum128(raw, hashKey[:]) }

// sumBlock is how many bytes are summed at a time: the second sum finds them in the first-level cache.
const sumBlock = 16 << 10

// sums returns CRC32C and Hash128 in one pass over the memory.
func (c *Compressor) sums(raw []byte) (crc uint32, hash [16]byte) {
	c.digest.Reset()
	for len(raw) > 0 {
		b := raw[:min(len(raw), sumBlock)]
		raw = raw[len(b):]
		crc = updateCRC32C(crc, b)
		c.digest.Write(b)
	}
	c.digest.Sum(hash[:0])
	return crc, hash
}
