package messages

import (
	"fmt"
	"strings"

	"github.com/minio/highwayhash"
)

// MaxPath is the longest path, in bytes. PostgreSQL's own limit is MAXPGPATH, 1024 with the final NUL (src/include/pg_config_manual.h).
const MaxPath = 1023

// ValidPath refuses paths that could lead out of a tree: empty ones, absolute ones, those with empty, "." or ".." elements, those with a NUL
// byte, and those longer than MaxPath. The error wraps ErrBadPath. Other bytes are allowed: names need not be UTF-8.
func ValidPath(p string) error {
	if p == "" || len(p) > MaxPath || strings.IndexByte(p, 0) >= 0 {
		return badPath(p)
	}
	for rest, more := p, true; more; {
		var element string
		element, rest, more = strings.Cut(rest, "/")
		if element == "" || element == "." || element == ".." {
			return badPath(p)
		}
	}
	return nil
}

func badPath(p string) error {
	if len(p) > MaxPath {
		return fmt.Errorf("%w: %q… has %d bytes, at most %d are allowed", ErrBadPath, p[:64], len(p), MaxPath)
	}
	return fmt.Errorf("%w: %q", ErrBadPath, p)
}

// PathKey is the 64-bit HighwayHash of a tree and a path, with the key of Hash128. It names a file in receipts, where the path would be too
// long. The path must be valid: bytes beyond MaxPath do not count.
func PathKey(t Tree, path string) uint64 {
	var b [1 + MaxPath]byte
	b[0] = byte(t)
	n := copy(b[1:], path)
	return highwayhash.Sum64(b[:1+n], hashKey[:])
}
