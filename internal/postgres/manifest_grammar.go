package postgres

import (
	"fmt"
	"math"
)

// token is the grammar: JSON's, and the shape of a manifest (one object with scalars and two lists of flat objects).
func (r *ManifestReader) token(kind byte, text []byte) error {
	switch {
	case r.want == ':' && kind == ':':
		r.want = 'v'
		return nil
	case r.want == ',' && kind == ',':
		r.want = 'k'
		if r.depth == placeFiles || r.depth == placeRanges {
			r.want = 'v'
		}
		return nil
	case (r.want == ',' || r.want == 'K' || r.want == 'V') && (kind == '}' || kind == ']'):
		return r.closeBracket(kind)
	case (r.want == 'k' || r.want == 'K') && kind == 's':
		return r.setKey(string(text))
	case (r.want == 'v' || r.want == 'V') && (kind == '{' || kind == '['):
		return r.openBracket(kind)
	case r.want == 'v' && (kind == 's' || kind == 'n'):
		return r.scalar(kind, text)
	}
	return r.unexpected(kind, text)
}

func (r *ManifestReader) setKey(key string) error {
	seen := r.seen
	if r.depth == placeTop {
		seen = r.top
	}
	if seen[key] {
		return fmt.Errorf("%w: duplicate field %.100q", ErrManifest, key)
	}
	if len(seen) >= 16 {
		return fmt.Errorf("%w: unexpected field %.100q", ErrManifest, key)
	}
	seen[key] = true
	r.key, r.want = key, ':'
	return nil
}

func (r *ManifestReader) scalar(kind byte, text []byte) error {
	r.want = ','
	switch r.depth {
	case placeTop:
		return r.setTop(text, kind)
	case placeFile:
		return r.setFile(text, kind)
	case placeRange:
		return r.setRange(text, kind)
	}
	return r.unexpected(kind, text)
}

func (r *ManifestReader) openBracket(kind byte) error {
	switch {
	case r.depth == placeStart && kind == '{':
		r.depth, r.want = placeTop, 'k'
	case r.depth == placeTop && kind == '[' && r.key == "Files" && r.info.Version > 0:
		r.depth, r.want = placeFiles, 'V'
	case r.depth == placeTop && kind == '[' && r.key == "WAL-Ranges" && r.info.Version > 0:
		r.depth, r.want = placeRanges, 'V'
	case r.depth == placeFiles && kind == '{':
		r.depth, r.want, r.file = placeFile, 'K', ManifestFile{}
		clear(r.seen)
	case r.depth == placeRanges && kind == '{':
		r.depth, r.want, r.wal = placeRange, 'K', ManifestWALRange{}
		clear(r.seen)
	default:
		return r.unexpected(kind, nil)
	}
	return nil
}

func (r *ManifestReader) closeBracket(kind byte) error {
	r.want = ','
	switch {
	case r.depth == placeFile && kind == '}':
		r.depth = placeFiles
		return r.endFile()
	case r.depth == placeRange && kind == '}':
		r.depth = placeRanges
		return r.endRange()
	case (r.depth == placeFiles || r.depth == placeRanges) && kind == ']':
		r.depth = placeTop
		return nil
	case r.depth == placeTop && kind == '}':
		r.want = '$'
		return nil
	}
	return r.unexpected(kind, nil)
}

func (r *ManifestReader) endFile() error {
	f := &r.file
	switch {
	case r.seen["Path"] == r.seen["Encoded-Path"] || f.Path == "":
		return fmt.Errorf("%w: a file needs either %q or %q", ErrManifest, "Path", "Encoded-Path")
	case !r.seen["Size"]:
		return fmt.Errorf("%w: file %q has no size", ErrManifest, f.Path)
	case r.seen["Checksum-Algorithm"] != r.seen["Checksum"] && (r.seen["Checksum"] || f.Algorithm != ChecksumNone), len(f.Checksum) != f.Algorithm.Size():
		return fmt.Errorf("%w: file %q has a checksum that does not fit its algorithm", ErrManifest, f.Path)
	case f.Size > math.MaxInt64-r.info.Bytes:
		return fmt.Errorf("%w: file %q is impossibly large", ErrManifest, f.Path)
	}
	r.info.Files++
	r.info.Bytes += f.Size
	if r.onFile == nil {
		return nil
	}
	return r.onFile(f)
}

func (r *ManifestReader) endRange() error {
	if !r.seen["Timeline"] || !r.seen["Start-LSN"] || !r.seen["End-LSN"] {
		return fmt.Errorf("%w: a range of write-ahead log needs its timeline, start and end", ErrManifest)
	}
	if len(r.info.WALRanges) >= maxWALRanges {
		return fmt.Errorf("%w: more than %d ranges of write-ahead log", ErrManifest, maxWALRanges)
	}
	r.info.WALRanges = append(r.info.WALRanges, r.wal)
	return nil
}

func (r *ManifestReader) unexpected(kind byte, text []byte) error {
	if text == nil {
		text = []byte{kind}
	}
	return fmt.Errorf("%w: %.100q is out of place", ErrManifest, text)
}
