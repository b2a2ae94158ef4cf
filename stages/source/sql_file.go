package source

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"polarcast/messages"
)

func (r *sqlReader) Open(ctx context.Context, tree messages.Tree, path string) (Handle, error) {
	return &sqlFile{ctx: ctx, r: r, tree: tree, path: path}, nil
}

// sqlFile is a file that is looked up at each read.
type sqlFile struct {
	ctx  context.Context // of Open: io.ReaderAt has none
	r    *sqlReader
	tree messages.Tree
	path string
}

// errVanished says that the server has no such file any more.
func errVanished(path string) error {
	return fmt.Errorf("could not open file \"%s\" of the server: %w", path, fs.ErrNotExist)
}

func (f *sqlFile) ReadAt(p []byte, off int64) (int, error) {
	ranges := make([]Range, 0, len(p)/maxRange+1)
	for done := 0; done < len(p); done += maxRange {
		ranges = append(ranges, Range{Tree: f.tree, Path: f.path, Offset: off + int64(done), Length: min(maxRange, len(p)-done)})
	}
	got, short := 0, false
	err := f.r.ReadRanges(f.ctx, ranges, func(i int, data []byte) error {
		if data == nil {
			return errVanished(f.path)
		}
		if !short {
			got += copy(p[i*maxRange:], data)
		}
		short = short || len(data) < ranges[i].Length
		return nil
	})
	if err == nil && got < len(p) {
		err = io.EOF
	}
	return got, err
}

func (f *sqlFile) Close() error { return nil }
