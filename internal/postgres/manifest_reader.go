package postgres

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
)

// ManifestReader takes a backup manifest of version 1 (13 to 16) or 2 (17 and later) as its bytes arrive, in pieces of any size, and calls back for every file.
// Memory does not depend on the size of the manifest. What was called back is proven only when Close returns no error, since the checksum
// of the manifest stands at its end.
type ManifestReader struct {
	onFile func(*ManifestFile) error
	lexer  jsonLexer
	hash   hash.Hash
	line   []byte // the line that is arriving, not yet hashed: the last line of a manifest is not covered by its checksum
	ended  bool   // line is complete
	err    error

	depth manifestPlace
	want  byte // 'k' key, 'K' key or end, ':' colon, 'v' value, 'V' value or end, ',' comma or end, '$' nothing more
	key   string
	seen  map[string]bool // keys of the object at hand, without the values
	top   map[string]bool
	file  ManifestFile
	wal   ManifestWALRange
	sum   []byte
	info  ManifestInfo
}

// ManifestInfo is what a manifest says besides its files.
type ManifestInfo struct {
	Version   int
	SystemID  uint64 // 0 in version 1
	Files     int64
	Bytes     int64 // sum of the sizes of the files
	WALRanges []ManifestWALRange
}

type manifestPlace uint8

const (
	placeStart manifestPlace = iota
	placeTop
	placeFiles
	placeFile
	placeRanges
	placeRange
)

// maxWALRanges bounds what is kept: one range for each timeline that was active during a backup.
const maxWALRanges = 1000

// maxManifestLine bounds one line in bytes; a server writes one file to a line.
const maxManifestLine = 4 * maxManifestToken

var _ io.Writer = (*ManifestReader)(nil)

// NewManifestReader calls onFile (may be nil) for every file; the entry is valid during the call, its Path may be kept. An error that onFile returns ends the
// reading and comes out of Write.
func NewManifestReader(onFile func(*ManifestFile) error) *ManifestReader {
	r := &ManifestReader{onFile: onFile, hash: sha256.New(), want: 'v', seen: map[string]bool{}, top: map[string]bool{}}
	r.lexer.emit = r.token
	return r
}

// Write takes the next bytes. After an error it returns that error again.
func (r *ManifestReader) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.err = r.hold(p); r.err == nil {
		r.err = r.lexer.feed(p)
	}
	if r.err != nil {
		return 0, r.err
	}
	return len(p), nil
}

// hold hashes all lines but the last one that has begun.
func (r *ManifestReader) hold(p []byte) error {
	for len(p) > 0 {
		if r.ended {
			r.hash.Write(r.line)
			r.line, r.ended = r.line[:0], false
		}
		n := len(p)
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			n, r.ended = i+1, true
		}
		if len(r.line)+n > maxManifestLine {
			return fmt.Errorf("%w: a line is longer than %d bytes", ErrManifest, maxManifestLine)
		}
		r.line = append(r.line, p[:n]...)
		p = p[n:]
	}
	return nil
}

// Close says whether the manifest was complete and its checksum fits.
func (r *ManifestReader) Close() (*ManifestInfo, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.want != '$' || !r.ended {
		return nil, fmt.Errorf("%w: it ends early", ErrManifest)
	}
	if !bytes.HasPrefix(r.line, []byte(`"Manifest-Checksum"`)) {
		return nil, fmt.Errorf("%w: its checksum does not stand in the last line", ErrManifest)
	}
	for _, key := range [...]string{"PostgreSQL-Backup-Manifest-Version", "Files", "WAL-Ranges", "Manifest-Checksum"} {
		if !r.top[key] {
			return nil, fmt.Errorf("%w: %q is missing", ErrManifest, key)
		}
	}
	if r.info.Version >= 2 && !r.top["System-Identifier"] {
		return nil, fmt.Errorf("%w: %q is missing", ErrManifest, "System-Identifier")
	}
	if want := r.hash.Sum(nil); subtle.ConstantTimeCompare(want, r.sum) != 1 {
		return nil, fmt.Errorf("%w: it says %x, calculated %x", ErrManifestChecksum, r.sum, want)
	}
	return &r.info, nil
}

func (r *ManifestReader) setTop(text []byte, kind byte) error {
	s := string(text)
	if r.key != "PostgreSQL-Backup-Manifest-Version" && r.info.Version == 0 {
		return fmt.Errorf("%w: its version does not come first", ErrManifest)
	}
	switch {
	case r.key == "PostgreSQL-Backup-Manifest-Version" && kind == 'n':
		v, err := strconv.Atoi(s)
		if err != nil || v < 1 {
			return r.badValue(s)
		}
		if v > 2 {
			return fmt.Errorf("%w: %d", ErrManifestVersion, v)
		}
		r.info.Version = v
	case r.key == "System-Identifier" && kind == 'n' && r.info.Version >= 2:
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return r.badValue(s)
		}
		r.info.SystemID = v
	case r.key == "Manifest-Checksum" && kind == 's':
		sum, err := hex.DecodeString(s)
		if err != nil || len(sum) != sha256.Size {
			return r.badValue(s)
		}
		r.sum = sum
	default:
		return r.badValue(s)
	}
	return nil
}

func (r *ManifestReader) setFile(text []byte, kind byte) error {
	s := string(text)
	var err error
	switch {
	case r.key == "Path" && kind == 's':
		r.file.Path = s
	case r.key == "Encoded-Path" && kind == 's':
		var raw []byte
		raw, err = hex.DecodeString(s)
		r.file.Path = string(raw)
	case r.key == "Size" && kind == 'n':
		r.file.Size, err = strconv.ParseInt(s, 10, 64)
		if r.file.Size < 0 {
			return r.badValue(s)
		}
	case r.key == "Last-Modified" && kind == 's':
		r.file.LastModified, err = time.Parse(manifestTime, s)
	case r.key == "Checksum-Algorithm" && kind == 's':
		r.file.Algorithm, err = ParseChecksumAlgorithm(s)
	case r.key == "Checksum" && kind == 's':
		r.file.Checksum, err = hex.DecodeString(s)
	default:
		return r.badValue(s)
	}
	if err != nil {
		return r.badValue(s)
	}
	return nil
}

func (r *ManifestReader) setRange(text []byte, kind byte) error {
	s := string(text)
	var err error
	switch {
	case r.key == "Timeline" && kind == 'n':
		var v uint64
		v, err = strconv.ParseUint(s, 10, 32)
		r.wal.Timeline = uint32(v)
	case r.key == "Start-LSN" && kind == 's':
		r.wal.Start, err = ParseLSN(s)
	case r.key == "End-LSN" && kind == 's':
		r.wal.End, err = ParseLSN(s)
	default:
		return r.badValue(s)
	}
	if err != nil {
		return r.badValue(s)
	}
	return nil
}

func (r *ManifestReader) badValue(s string) error {
	return fmt.Errorf("%w: unexpected field or value: %q: %.100q", ErrManifest, r.key, s)
}

// manifestTime is strftime's "%Y-%m-%d %H:%M:%S %Z" in GMT.
const manifestTime = "2006-01-02 15:04:05 GMT"
