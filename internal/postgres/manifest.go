package postgres

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"
	"time"
)

// ManifestFileName is the name of the backup manifest in the data directory.
const ManifestFileName = "backup_manifest"

// Errors of the manifest reader and writer.
var (
	// ErrManifest is wrapped by all errors about a manifest that is not what a server writes.
	ErrManifest = errors.New("invalid backup manifest")
	// ErrManifestVersion: a version that is newer than this package.
	ErrManifestVersion = errors.New("unknown backup manifest version")
	// ErrManifestChecksum: the manifest was changed after it was written.
	ErrManifestChecksum = errors.New("backup manifest checksum mismatch")
)

// ManifestFile is one entry of a manifest. Path is relative to the data directory and holds raw bytes; it is what the server said, so check it before
// using it as a path.
type ManifestFile struct {
	Path         string
	Size         int64     // bytes
	LastModified time.Time // whole seconds, UTC
	Algorithm    ChecksumAlgorithm
	Checksum     []byte // of the file's content; nil with ChecksumNone
}

// ManifestWALRange is the write-ahead log of one timeline that the backup needs.
type ManifestWALRange struct {
	Timeline   uint32
	Start, End LSN
}

// ChecksumAlgorithm is a checksum of file contents in a manifest (pg_checksum_type).
type ChecksumAlgorithm uint8

// The algorithms that servers know.
const (
	ChecksumNone ChecksumAlgorithm = iota
	ChecksumCRC32C
	ChecksumSHA224
	ChecksumSHA256
	ChecksumSHA384
	ChecksumSHA512
)

var checksumNames = [...]string{"NONE", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512"}

// String is the name in manifests and in the option MANIFEST_CHECKSUMS.
func (a ChecksumAlgorithm) String() string {
	if int(a) < len(checksumNames) {
		return checksumNames[a]
	}
	return fmt.Sprintf("checksum algorithm %d", uint8(a))
}

// ParseChecksumAlgorithm reads a name as pg_checksum_parse_type does, without regard to case.
func ParseChecksumAlgorithm(name string) (ChecksumAlgorithm, error) {
	for i, n := range checksumNames {
		if strings.EqualFold(n, name) {
			return ChecksumAlgorithm(i), nil
		}
	}
	return 0, fmt.Errorf("unrecognized checksum algorithm: %q", name)
}

// Size is the length of the checksum in bytes, 0 for ChecksumNone.
func (a ChecksumAlgorithm) Size() int {
	return [...]int{0, 4, sha256.Size224, sha256.Size, sha512.Size384, sha512.Size}[min(a, ChecksumSHA512)]
}

// New makes the hash whose Sum is what a manifest holds, nil for ChecksumNone.
func (a ChecksumAlgorithm) New() hash.Hash {
	switch a {
	case ChecksumCRC32C:
		return &manifestCRC{crc32.New(castagnoli)}
	case ChecksumSHA224:
		return sha256.New224()
	case ChecksumSHA256:
		return sha256.New()
	case ChecksumSHA384:
		return sha512.New384()
	case ChecksumSHA512:
		return sha512.New()
	}
	return nil
}

// ManifestCRC32C is the manifest's form of a CRC-32C: the server writes the bytes of the number as they lie in its memory, little endian.
func ManifestCRC32C(crc uint32) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc)
}

type manifestCRC struct{ hash.Hash32 }

func (h *manifestCRC) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, h.Sum32()) }
