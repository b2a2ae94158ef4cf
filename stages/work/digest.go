package work

import (
	"hash"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// Algorithm returns the checksum that the manifest of a backup holds of each file; ok is false when there is to be no manifest.
func Algorithm(o messages.BackupOptions) (a postgres.ChecksumAlgorithm, ok bool, err error) {
	if o.Manifest == "no" {
		return postgres.ChecksumNone, false, nil
	}
	if o.ManifestChecksums == "" {
		return postgres.ChecksumCRC32C, true, nil
	}
	a, err = postgres.ParseChecksumAlgorithm(strings.TrimSpace(o.ManifestChecksums))
	return a, true, err
}

// Digest returns the hash that only a reader of a whole file can compute, nil when the manifest wants none or one that is combined from the
// checksums of the file's chunks.
func Digest(o messages.BackupOptions) func() hash.Hash {
	a, ok, err := Algorithm(o)
	if !ok || err != nil || a == postgres.ChecksumNone || a == postgres.ChecksumCRC32C {
		return nil
	}
	return a.New
}
