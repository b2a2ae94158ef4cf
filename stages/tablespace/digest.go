package tablespace

import (
	"hash"

	"polarcast/internal/postgres"
)

// manifestHash returns the hash that the server's manifest uses for whole files, nil for CRC32C, which the feed computes anyway, and for none.
func manifestHash(algorithm string) func() hash.Hash {
	a, err := postgres.ParseChecksumAlgorithm(algorithm)
	if err != nil || a == postgres.ChecksumNone || a == postgres.ChecksumCRC32C {
		return nil
	}
	return a.New
}
