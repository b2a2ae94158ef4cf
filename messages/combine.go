package messages

import (
	"hash/crc32"
	"sync"
)

// crcOperator is the effect of appending a number of zero bytes on a CRC, as a matrix over GF(2): column i is what bit i becomes. The method
// is that of zlib's crc32_combine.
type crcOperator [32]uint32

func (m *crcOperator) times(v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		// The mask spares a branch that no processor can predict.
		sum ^= m[i&31] & -(v & 1)
	}
	return sum
}

func (m *crcOperator) square() (out crcOperator) {
	for i := range m {
		out[i] = m.times(m[i])
	}
	return out
}

// zeroPowers[i] appends 2^i zero bytes.
var zeroPowers = sync.OnceValue(func() *[63]crcOperator {
	var p [63]crcOperator
	p[0][0] = crc32.Castagnoli // the effect of one zero bit
	for i := 1; i < 32; i++ {
		p[0][i] = 1 << (i - 1)
	}
	for range 3 { // two bits, four, eight
		p[0] = p[0].square()
	}
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1].square()
	}
	return &p
})

// appendZeros is the inner state of a CRC after n more zero bytes. Powers of two, ChunkSize among them, cost one multiplication.
func appendZeros(state uint32, n int64) uint32 {
	p := zeroPowers()
	for i := 0; n > 0; i, n = i+1, n>>1 {
		if n&1 != 0 {
			state = p[i].times(state)
		}
	}
	return state
}

// CombineCRC32C returns the CRC32C of two pieces one after the other, from their CRCs and the second one's length in bytes.
func CombineCRC32C(a, b uint32, lenB int64) uint32 {
	if lenB <= 0 {
		return a
	}
	return appendZeros(a, lenB) ^ b
}

// zerosCRC32C is the CRC32C of n zero bytes: the register begins and ends inverted.
func zerosCRC32C(n int) uint32 { return ^appendZeros(^uint32(0), int64(n)) }
