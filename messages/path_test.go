package messages

import (
	"errors"
	"strings"
	"testing"
)

func TestValidPath(t *testing.T) {
	for _, p := range []string{"a", "PG_VERSION", "base/5/16384", "...", "..a/.b", "a\xffb", "a b\n", strings.Repeat("x", MaxPath)} {
		if err := ValidPath(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", "/", "/etc/passwd", ".", "..", "./a", "a/.", "../a", "a/..", "a/../b", "a//b", "a/", "a\x00b", strings.Repeat("x", MaxPath+1)} {
		if err := ValidPath(p); !errors.Is(err, ErrBadPath) {
			t.Errorf("%q: %v, want ErrBadPath", p, err)
		}
	}
}

// TestPathKey pins the keys, which are part of the format.
func TestPathKey(t *testing.T) {
	seen := map[uint64]string{}
	for _, tt := range []struct {
		tree Tree
		path string
		want uint64
	}{
		{TreeLocal, "PG_VERSION", 0xe8f2d53746572f9b},
		{TreeShared, "PG_VERSION", 0xa8db8cf2096f2f50},
		{TreeWAL, strings.Repeat("x", MaxPath), 0x9a8ea02d90f011b5},
	} {
		got := PathKey(tt.tree, tt.path)
		if got != tt.want {
			t.Errorf("PathKey(%d, %.20q) = %#x, want %#x", tt.tree, tt.path, got, tt.want)
		}
		if seen[got] != "" {
			t.Errorf("%.20q has the key of %.20q", tt.path, seen[got])
		}
		seen[got] = tt.path
	}
}
