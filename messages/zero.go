package messages

import "bytes"

var zeros [4 << 10]byte

// isZero says whether all bytes are 0. bytes.Equal compares with vector instructions and ends at the first difference; the zeros that it
// compares with stay in the first-level cache.
func isZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
