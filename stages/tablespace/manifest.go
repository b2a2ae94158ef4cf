package tablespace

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/feed"
)

// manifestCheck compares what was read with what the server says that it sent. It keeps 24 bytes a file.
type manifestCheck struct {
	present bool
	files   int64
	reader  *postgres.ManifestReader
	info    *postgres.ManifestInfo // when it is read to its end
	split   *manifests             // of PolarDB's trees; nil for a source with one tree
	skipped map[string]bool        // files of the local tree that were left out

	mu   sync.Mutex
	sums map[uint64]fileSum
}

type fileSum struct {
	size int64
	sum  uint64 // CRC32C, or the first 8 bytes of a longer digest
	// optional files need not be in the manifest.
	optional bool
}

func newManifestCheck(algorithm string) *manifestCheck {
	c := &manifestCheck{sums: map[uint64]fileSum{}, skipped: map[string]bool{}}
	c.reader = postgres.NewManifestReader(c.file)
	return c
}

// sealed is called by the feed for every file that was read.
func (c *manifestCheck) sealed(s feed.Sealed) error {
	if s.Path == manifestName {
		return nil
	}
	// WAL that comes with the files is not in the manifest, its archive status is.
	v := fileSum{size: s.Size, sum: uint64(s.CRC), optional: strings.HasPrefix(s.Path, "pg_wal/")}
	if s.Digest != nil {
		v.sum = prefix(s.Digest)
	}
	c.mu.Lock()
	c.sums[messages.PathKey(s.Tree, s.Path)] = v
	c.mu.Unlock()
	return nil
}

// leftOut notes a file of the local tree that the server sends and lists, but that is not taken.
func (c *manifestCheck) leftOut(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped[path] = true
}

// publish ends the server's manifest and puts those of the trees in its place.
func (c *manifestCheck) publish(fd *feed.Feed) error {
	if err := c.close(); err != nil {
		return err
	}
	return c.split.publish(fd, c.info.WALRanges)
}

func (c *manifestCheck) close() (err error) {
	if c.info == nil {
		if c.info, err = c.reader.Close(); err != nil {
			return fmt.Errorf("the server's backup manifest: %w", err)
		}
	}
	return nil
}

func prefix(d []byte) uint64 {
	var v uint64
	for i := range 8 {
		v = v<<8 | uint64(d[i])
	}
	return v
}

func (c *manifestCheck) feed(p []byte) error {
	c.present = true
	if _, err := c.reader.Write(p); err != nil {
		return fmt.Errorf("the server's backup manifest: %w", err)
	}
	return nil
}

// file is called for every entry of the manifest.
func (c *manifestCheck) file(m *postgres.ManifestFile) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// PolarDB lists the files of both trees without saying which tree they are in, so some names come twice: either may match.
	if c.skipped[m.Path] { // the local tree's files are listed before those of the shared one
		delete(c.skipped, m.Path)
		return nil
	}
	if own, ok := statusName(m.Path); ok {
		m.Path = own
	}
	var first error
	for _, t := range []messages.Tree{messages.TreeLocal, messages.TreeShared} {
		key := messages.PathKey(t, m.Path)
		have, ok := c.sums[key]
		if !ok {
			continue
		}
		if err := c.compare(m, have); err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		delete(c.sums, key)
		c.files++
		return c.split.add(t, m)
	}
	if first != nil {
		return first
	}
	return fmt.Errorf("the server's backup manifest lists file \"%s\", which the server did not send", m.Path)
}

func (c *manifestCheck) compare(m *postgres.ManifestFile, have fileSum) error {
	if m.Size != have.size {
		return fmt.Errorf("file \"%s\" has %d bytes, but the server's backup manifest says %d", m.Path, have.size, m.Size)
	}
	if m.Algorithm == postgres.ChecksumNone {
		return nil
	}
	want := uint64(0)
	if m.Algorithm == postgres.ChecksumCRC32C {
		if len(m.Checksum) != 4 {
			return fmt.Errorf("the server's backup manifest has a malformed checksum for file \"%s\"", m.Path)
		}
		// PostgreSQL writes the four bytes of the value as they lie in memory (src/common/checksum_helper.c), which is little endian on
		// every platform that this runs on.
		want = uint64(m.Checksum[0]) | uint64(m.Checksum[1])<<8 | uint64(m.Checksum[2])<<16 | uint64(m.Checksum[3])<<24
	} else {
		if len(m.Checksum) < 8 {
			return fmt.Errorf("the server's backup manifest has a malformed checksum for file \"%s\"", m.Path)
		}
		want = prefix(m.Checksum)
	}
	if want != have.sum {
		return fmt.Errorf("file \"%s\" was received with other contents than the server's backup manifest says (checksum %s %s)",
			m.Path, m.Algorithm, hex.EncodeToString(m.Checksum))
	}
	return nil
}

// finish checks that the manifest was whole and spoke of everything that was received.
func (c *manifestCheck) finish() error {
	if !c.present {
		return nil
	}
	if err := c.close(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.sums {
		if !s.optional {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("the server sent %d files that its backup manifest does not list", n)
	}
	return nil
}
