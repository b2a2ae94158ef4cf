package postgres

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// ManifestOptions say what a manifest looks like.
type ManifestOptions struct {
	Version     int    // 1 or 2, see ManifestVersion
	SystemID    uint64 // written since version 2
	ForceEncode bool   // hexadecimal paths only
}

// ManifestWriter writes a backup manifest byte for byte as the server does (backup_manifest.c), so that pg_verifybackup and pg_combinebackup take it. Its
// memory does not depend on the number of files.
type ManifestWriter struct {
	w           *bufio.Writer
	hash        hash.Hash
	forceEncode bool
	buf         []byte
	files       int64
	err         error
}

// NewManifestWriter writes the beginning of a manifest to w. The error says that the version is unknown; errors of w come from the later calls.
func NewManifestWriter(w io.Writer, o ManifestOptions) (*ManifestWriter, error) {
	m := &ManifestWriter{hash: sha256.New(), forceEncode: o.ForceEncode}
	m.w = bufio.NewWriterSize(w, 64<<10)
	m.buf = fmt.Appendf(m.buf, "{ \"PostgreSQL-Backup-Manifest-Version\": %d,\n", o.Version)
	switch o.Version {
	case 1:
	case 2:
		m.buf = fmt.Appendf(m.buf, "\"System-Identifier\": %d,\n", o.SystemID)
	default:
		return nil, fmt.Errorf("%w: %d", ErrManifestVersion, o.Version)
	}
	m.buf = append(m.buf, `"Files": [`...)
	m.flush()
	return m, nil
}

// AddFile adds one file. The checksum must be one of its algorithm (see ChecksumAlgorithm.New and ManifestCRC32C).
func (m *ManifestWriter) AddFile(f ManifestFile) error {
	if f.Path == "" || f.Size < 0 || len(f.Checksum) != f.Algorithm.Size() {
		return fmt.Errorf("%w: file %q of %d bytes with a %v checksum of %d bytes", ErrManifest, f.Path, f.Size, f.Algorithm, len(f.Checksum))
	}
	if m.files > 0 {
		m.buf = append(m.buf, ',')
	}
	m.files++
	m.buf = append(m.buf, '\n')
	if !m.forceEncode && utf8.ValidString(f.Path) {
		m.buf = append(m.buf, `{ "Path": `...)
		m.buf = appendManifestString(m.buf, f.Path)
	} else {
		m.buf = append(m.buf, `{ "Encoded-Path": "`...)
		m.buf = hex.AppendEncode(m.buf, []byte(f.Path))
		m.buf = append(m.buf, '"')
	}
	m.buf = append(m.buf, `, "Size": `...)
	m.buf = strconv.AppendInt(m.buf, f.Size, 10)
	m.buf = append(m.buf, `, "Last-Modified": "`...)
	m.buf = f.LastModified.UTC().Truncate(time.Second).AppendFormat(m.buf, manifestTime)
	m.buf = append(m.buf, '"')
	if f.Algorithm != ChecksumNone {
		m.buf = append(m.buf, `, "Checksum-Algorithm": "`...)
		m.buf = append(m.buf, f.Algorithm.String()...)
		m.buf = append(m.buf, `", "Checksum": "`...)
		m.buf = hex.AppendEncode(m.buf, f.Checksum)
		m.buf = append(m.buf, '"')
	}
	m.buf = append(m.buf, " }"...)
	return m.flush()
}

// Close writes the ranges of write-ahead log, newest timeline first, and the checksum.
func (m *ManifestWriter) Close(ranges []ManifestWALRange) error {
	m.buf = append(m.buf, "\n],\n\"WAL-Ranges\": [\n"...)
	for i, r := range ranges {
		if i > 0 {
			m.buf = append(m.buf, ",\n"...)
		}
		m.buf = fmt.Appendf(m.buf, `{ "Timeline": %d, "Start-LSN": "%s", "End-LSN": "%s" }`, r.Timeline, r.Start, r.End)
	}
	m.buf = append(m.buf, "\n],\n"...)
	if err := m.flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(m.w, "\"Manifest-Checksum\": \"%x\"}\n", m.hash.Sum(nil)); err != nil {
		return err
	}
	return m.w.Flush()
}

func (m *ManifestWriter) flush() error {
	m.hash.Write(m.buf)
	if _, err := m.w.Write(m.buf); err != nil && m.err == nil {
		m.err = err
	}
	m.buf = m.buf[:0]
	return m.err
}

// appendManifestString is escape_json of json.c: bytes from 0x20 on go unchanged.
func appendManifestString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '"':
			dst = append(dst, `\"`...)
		case '\\':
			dst = append(dst, `\\`...)
		default:
			if c < ' ' {
				dst = fmt.Appendf(dst, `\u%04x`, c)
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}
