package storage

import (
	"testing"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
)

// TestSharedNeed: where the source has counted its files each takes an inode, and small ones a block; else only bytes are known.
func TestSharedNeed(t *testing.T) {
	state := func(spaces ...messages.Tablespace) pipeline.State {
		return pipeline.State{Prepared: &messages.Prepared{WALSegmentSize: 16 << 20},
			Sessions: []pipeline.SessionState{{Started: messages.SessionStarted{Session: 1, Tablespaces: spaces}}}}
	}
	local := messages.Tablespace{SizeKB: 1 << 30}
	for name, c := range map[string]struct {
		shared messages.Tablespace
		want   pfs.Space
	}{
		"counted":     {messages.Tablespace{SizeKB: 10 << 10, Shared: true, Files: 1294, Blocks: 1091}, pfs.Space{Blocks: 1091 + 8, Inodes: 1294 + 3, Direntries: 1294 + 3}},
		"not counted": {messages.Tablespace{SizeKB: 10 << 10, Shared: true}, pfs.Space{Blocks: 3 + 8, Inodes: sharedDirs + 3, Direntries: sharedDirs + 3}},
		"not told":    {messages.Tablespace{SizeKB: -1, Shared: true}, pfs.Space{Blocks: 8, Inodes: sharedDirs + 3, Direntries: sharedDirs + 3}},
	} {
		if got, _ := sharedNeed(state(local, c.shared)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
