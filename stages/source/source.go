package source

import (
	"context"
	"io"

	"polarcast/messages"
)

// Kind is what an entry of a tree is.
type Kind uint8

const (
	File      Kind = iota + 1 // a regular file
	Directory                 // a directory; Empty says that its contents are left out
	Symlink                   // the link of a user tablespace below pg_tblspc; Link is its target
)

// Entry is one name of a tree, as it was when it was listed.
type Entry struct {
	Tree  messages.Tree
	Path  string // relative to the tree, slash-separated; below a tablespace pg_tblspc/<oid>/…
	Kind  Kind
	Size  int64  // bytes, of a file
	Mode  uint32 // permission bits; 0 when the source has none to take over (PFS, SQL)
	MTime int64  // seconds since 1970
	Link  string // of a tablespace: its directory on the source
}

// Reader reads one source. All methods may be called from any number of goroutines.
type Reader interface {
	// List calls fn for everything that a base backup holds, directories before what is in them; what PostgreSQL leaves out is left out,
	// and so are global/pg_control, which is read last by its own name, and what vanished meanwhile. An error of fn ends the listing.
	List(ctx context.Context, fn func(Entry) error) error
	// Open opens a file. fs.ErrNotExist: it vanished since it was listed. A reader without open files says so at the first read instead.
	Open(ctx context.Context, tree messages.Tree, path string) (Handle, error)
	// Close releases connections and mounts. Open handles must have been closed.
	Close() error
}

// Handle is an open file. ReadAt is io.ReaderAt's: fewer bytes than asked for come with io.EOF; fs.ErrNotExist says that the file vanished.
type Handle interface {
	io.ReaderAt
	Close() error
}

// Range is a piece of a file.
type Range struct {
	Tree   messages.Tree
	Path   string
	Offset int64 // bytes
	Length int   // bytes
}

// Batcher is implemented by readers that save round trips by reading many small ranges at once.
type Batcher interface {
	// ReadRanges calls fn once for each range, in order. data is nil when the file vanished, shorter than asked for at the end of the file,
	// and valid until fn returns.
	ReadRanges(ctx context.Context, ranges []Range, fn func(i int, data []byte) error) error
}

// ControlFile is the path of the file that must be read last.
const ControlFile = "global/pg_control"
