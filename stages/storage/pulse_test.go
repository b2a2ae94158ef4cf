package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"polarcast/pfs"
)

// TestAProcessThatStoodStillWritesNothingMore has the first write come before the first beat after the stop, and behind it.
func TestAProcessThatStoodStillWritesNothingMore(t *testing.T) {
	for name, beatFirst := range map[string]bool{"write first": false, "beat first": true} {
		t.Run(name, func(t *testing.T) {
			now := time.Duration(0)
			p := &pulse{now: func() time.Duration { return now }}
			file := filepath.Join(t.TempDir(), "f")
			f, err := pfs.Local().Open(file, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			g := guardedFile{f, p}
			defer g.Close()
			for range 20 {
				now += pulseLost / 2
				p.beat()
				if _, err := g.WriteAt([]byte("good"), 0); err != nil {
					t.Fatal(err)
				}
			}
			now += pulseLost + 1
			if beatFirst {
				p.beat()
			}
			for range 2 {
				if _, err := g.WriteAt([]byte("old!"), 0); !errors.Is(err, errStopped) {
					t.Errorf("write: %v", err)
				}
				if err := g.Truncate(1); !errors.Is(err, errStopped) {
					t.Errorf("truncate: %v", err)
				}
				if err := g.Allocate(0, 100); !errors.Is(err, errStopped) {
					t.Errorf("allocate: %v", err)
				}
				p.beat()
			}
			if b, err := os.ReadFile(file); err != nil || string(b) != "good" {
				t.Errorf("the file holds %q, %v", b, err)
			}
		})
	}
}
