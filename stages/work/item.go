// Package work is what the checkpoint stage hands to the tablespace stages of the files source: pieces of the source that one of them reads.
//
// An item is a range of a large file or a bundle of small whole files. It is made durable in the backup's work queue and is gone from there
// when its reader has acknowledged it, which it does when JetStream holds all that it published, index included.
package work

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"polarcast/messages"
)

// Sizes of items, in bytes. An item is what is read again at most when its reader is killed right before the first part is in the index.
const (
	// SplitSize is the size from which a file is cut into ranges.
	SplitSize = 64 << 20
	// RangeSize is the length of a range; the last one of a file is shorter. A multiple of messages.ChunkSize.
	RangeSize = 128 << 20
	// BundleBytes and BundleFiles close a bundle of small files.
	BundleBytes = 16 << 20
	BundleFiles = 512
)

// File is one file as it was listed.
type File struct {
	Tree  messages.Tree `json:"t,omitempty"`
	Path  string        `json:"p"`
	Size  int64         `json:"s,omitempty"` // bytes
	Mode  uint32        `json:"m,omitempty"`
	MTime int64         `json:"d,omitempty"`
}

// Record returns the prototype of the file's records.
func (f File) Record() messages.Record {
	return messages.Record{Tree: f.Tree, Path: f.Path, Mode: f.Mode, MTime: f.MTime}
}

// replayed are the directories whose files replay brings to their right size and content, whatever was read of them.
var replayed = []string{"base", "global", "pg_tblspc", "pg_xact", "pg_multixact", "pg_commit_ts", "pg_subtrans", "pg_twophase"}

// Loose reports whether no WAL tells of the file's changes, as with configuration: between the listing and the reading it may have been replaced by a longer or
// shorter one, and then neither the beginning of that nor zeros behind it are a file. Such files are taken with the size that they have when they are read,
// as long as one read holds them.
func (f File) Loose() bool {
	dir, _, below := strings.Cut(f.Path, "/")
	if !below {
		return true
	}
	return f.Tree == messages.TreeLocal && !slices.Contains(replayed, dir)
}

// Item is one piece of work.
type Item struct {
	Session uint32 `json:"session"`
	// Number identifies the item within its session, from 1 on.
	Number int64 `json:"number"`
	// Files are read whole, unless To is set: then there is one, and its bytes [From, To) are read.
	Files []File `json:"files"`
	From  int64  `json:"from,omitempty"`
	To    int64  `json:"to,omitempty"`
}

// IsRange tells a range from a bundle.
func (it *Item) IsRange() bool { return it.To > 0 }

// Last reports whether the item is the last range of its file, whose reader seals it.
func (it *Item) Last() bool { return it.IsRange() && it.To == it.Files[0].Size }

// Bytes is how much there is to read.
func (it *Item) Bytes() (n int64) {
	if it.IsRange() {
		return it.To - it.From
	}
	for i := range it.Files {
		n += it.Files[i].Size
	}
	return n
}

// Encode returns the item as a message.
func (it *Item) Encode() ([]byte, error) { return json.Marshal(it) }

// Decode reads an item and refuses one that could not have been written by Encode.
func Decode(b []byte) (*Item, error) {
	it := new(Item)
	if err := json.Unmarshal(b, it); err != nil {
		return nil, fmt.Errorf("work item: %w", err)
	}
	if len(it.Files) == 0 || it.Session == 0 {
		return nil, fmt.Errorf("work item %d: no file or no session", it.Number)
	}
	for i := range it.Files {
		f := &it.Files[i]
		if err := messages.ValidPath(f.Path); err != nil {
			return nil, fmt.Errorf("work item %d: %w", it.Number, err)
		}
		if f.Size < 0 {
			return nil, fmt.Errorf("work item %d: file %q has size %d", it.Number, f.Path, f.Size)
		}
	}
	if it.IsRange() && (len(it.Files) != 1 || it.From < 0 || it.From >= it.To || it.To > it.Files[0].Size || it.From%messages.ChunkSize != 0) {
		return nil, fmt.Errorf("work item %d: range %d to %d of file %q (%d bytes) is not one", it.Number, it.From, it.To, it.Files[0].Path, it.Files[0].Size)
	}
	return it, nil
}
