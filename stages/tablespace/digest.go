package tablespace

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
)

// digest returns the hash that the server's manifest uses for whole files, nil for CRC32C, which the feed computes anyway, and for none.
func digest(algorithm string) func() hash.Hash {
	switch strings.ToUpper(algorithm) {
	case "SHA224":
		return sha256.New224
	case "SHA256":
		return sha256.New
	case "SHA384":
		return sha512.New384
	case "SHA512":
		return sha512.New
	}
	return nil
}
