package polardouble

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"time"
	"unicode/utf8"
)

// manifestFile is an entry of a backup manifest.
type manifestFile struct {
	path      string
	size      int64
	modified  time.Time
	algorithm string
	sum       []byte
}

// upstreamManifest is what is taken over from the real server's manifest.
type upstreamManifest struct {
	Files []struct {
		Algorithm string `json:"Checksum-Algorithm"`
	}
	WALRanges json.RawMessage `json:"WAL-Ranges"`
}

func readManifest(f *os.File) (*upstreamManifest, error) {
	if f == nil {
		return nil, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var m upstreamManifest
	if err := json.NewDecoder(f).Decode(&m); err != nil {
		return nil, fmt.Errorf("manifest of the real server: %w", err)
	}
	return &m, nil
}

func (m *upstreamManifest) algorithm() string {
	if m == nil || len(m.Files) == 0 {
		return ""
	}
	return m.Files[0].Algorithm
}

// buildManifest writes the manifest as PolarDB 15 does: the local files, then the shared ones without any prefix, so that a path can occur twice.
func buildManifest(m *upstreamManifest, encode bool, trees ...*tree) []byte {
	var b bytes.Buffer
	b.WriteString("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [")
	sep := "\n"
	for _, t := range trees {
		for _, f := range t.files {
			b.WriteString(sep)
			sep = ",\n"
			if encode || !utf8.ValidString(f.path) {
				fmt.Fprintf(&b, "{ \"Encoded-Path\": \"%x\", ", f.path)
			} else {
				path, _ := json.Marshal(f.path)
				fmt.Fprintf(&b, "{ \"Path\": %s, ", path)
			}
			fmt.Fprintf(&b, "\"Size\": %d, \"Last-Modified\": \"%s\"", f.size, f.modified.UTC().Format("2006-01-02 15:04:05 GMT"))
			if f.algorithm != "" {
				fmt.Fprintf(&b, ", \"Checksum-Algorithm\": \"%s\", \"Checksum\": \"%x\"", f.algorithm, f.sum)
			}
			b.WriteString(" }")
		}
	}
	fmt.Fprintf(&b, "\n],\n\"WAL-Ranges\": %s,\n", m.WALRanges)
	sum := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "\"Manifest-Checksum\": \"%s\"}\n", hex.EncodeToString(sum[:]))
	return b.Bytes()
}

// newSum is nil for an algorithm of "" (NONE).
func newSum(algorithm string) hash.Hash {
	switch algorithm {
	case "CRC32C":
		return &crc{}
	case "SHA224":
		return sha256.New224()
	case "SHA256":
		return sha256.New()
	case "SHA384":
		return sha512.New384()
	case "SHA512":
		return sha512.New()
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc is CRC32C with the byte order that manifests have on little-endian machines.
type crc struct{ v uint32 }

func (c *crc) Write(p []byte) (int, error) {
	c.v = crc32.Update(c.v, castagnoli, p)
	return len(p), nil
}
func (c *crc) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, c.v) }
func (c *crc) Reset()              { c.v = 0 }
func (c *crc) Size() int           { return 4 }
func (c *crc) BlockSize() int      { return 1 }
