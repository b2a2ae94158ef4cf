package tablespace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"polarcast/messages"
	"polarcast/stages/feed"
	"polarcast/stages/source"
	"polarcast/stages/work"
)

// readSize is how much is read at once, in bytes: a multiple of the chunk size.
const readSize = 1 << 20

// fill reads b from the file. gone says that the file vanished; short, that it ended before: the rest of b is zeros then, as basebackup.c's
// sendFile has it: whatever cut the file is in the WAL.
func fill(h source.Handle, b []byte, off int64) (n int, gone bool, err error) {
	n, gone, err = some(h, b, off)
	clear(b[n:])
	return n, gone, err
}

// some reads as fill does, and leaves the rest of b as it was.
func some(h source.Handle, b []byte, off int64) (n int, gone bool, err error) {
	n, err = h.ReadAt(b, off)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, true, nil
	case errors.Is(err, io.EOF):
		err = nil
	}
	return n, false, err
}

// whole reads one file from its beginning to its end. What another reader of this session has published already is left out.
func (w *worker) whole(ctx context.Context, f work.File, done *feed.Done) error {
	if done != nil && done.Sealed {
		return nil
	}
	loose := f.Loose()
	if f.Size > 0 && !loose && work.Digest(w.st.Requested.Options) == nil {
		some := done.Any()
		if !some {
			kept, err := w.kept(f)
			if err != nil {
				return err
			}
			some = kept.Any()
		}
		if some {
			return w.rangeOf(ctx, &work.Item{Files: []work.File{f}, To: f.Size}, done)
		}
	}
	w.s.file.Store(f.Path)
	h, err := w.src.Open(ctx, f.Tree, f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return w.vanished(f, done != nil)
	}
	if err != nil {
		return err
	}
	defer h.Close()
	b := w.buf[:min(int64(len(w.buf)), f.Size)]
	probe := b
	if f.Size == 0 {
		probe = w.buf[:1] // whether it is there is only known after reading
	}
	if loose {
		probe = w.buf
	}
	n, gone, err := some(h, probe, 0)
	if err != nil {
		return readError(f, 0, err)
	}
	if gone {
		return w.vanished(f, done != nil)
	}
	if loose && n < len(probe) {
		f.Size, b = int64(n), probe[:n]
	}
	n = min(n, len(b))
	clear(b[n:])
	if err := w.feed.StartFile(f.Record(), f.Size); err != nil {
		return err
	}
	if err := w.pass(ctx, h, f, b, n, 0, f.Size); err != nil {
		return err
	}
	return w.feed.EndFile()
}

// pass writes [off, to) of the file into the feed. b is what was read at off, n bytes of it from the file and the rest zeros.
func (w *worker) pass(ctx context.Context, h source.Handle, f work.File, b []byte, n int, off, to int64) error {
	ended := n < len(b)
	for off < to {
		if err := w.pages.check(ctx, h, f, b[:n], off); err != nil {
			return err
		}
		if err := w.feed.Write(b); err != nil {
			return err
		}
		w.s.read.Add(int64(n))
		off += int64(len(b))
		b = w.buf[:min(int64(len(w.buf)), to-off)]
		if len(b) == 0 {
			return nil
		}
		if ended {
			clear(b)
			n = 0
			continue
		}
		var err error
		if n, ended, err = fill(h, b, off); err != nil {
			return readError(f, off, err)
		}
		ended = ended || n < len(b)
	}
	return nil
}

func readError(f work.File, off int64, err error) error {
	return fmt.Errorf("could not read file \"%s\" of the source at byte %d: %w", f.Path, off, err)
}

// rangeOf reads a range of a large file. What is not there any more reads as zeros.
func (w *worker) rangeOf(ctx context.Context, it *work.Item, d *feed.Done) error {
	f := it.Files[0]
	w.s.file.Store(f.Path)
	h, err := w.src.Open(ctx, f.Tree, f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		h, err = missing{}, nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	kept, err := w.kept(f)
	if err != nil {
		return err
	}
	length := func(at int64) int { return int(min(messages.ChunkSize, it.To-at)) }
	for from := it.From; from < it.To; {
		to := from
		for to < it.To && !d.Covers(to, length(to)) && !kept.Has(to, length(to)) {
			to = min(to+messages.ChunkSize, it.To)
		}
		if to > from {
			if err := w.span(ctx, h, f, from, to); err != nil {
				return err
			}
		}
		if to < it.To && !d.Covers(to, length(to)) {
			if err := w.feed.Keep(f.Record(), kept, to, length(to)); err != nil {
				return err
			}
		}
		from = min(to+messages.ChunkSize, it.To)
	}
	if it.Last() && (d == nil || !d.Sealed) {
		return w.feed.Seal(f.Record(), f.Size, f.Size)
	}
	return nil
}

// kept returns what need not be read of a file that a session before had delivered in part, when this one goes on with that. Of files that no WAL speaks
// of nothing is kept.
func (w *worker) kept(f work.File) (feed.Kept, error) {
	if f.Loose() {
		return feed.Kept{}, nil
	}
	return w.feed.Kept(f.Tree, f.Path, w.st.Session().Started.StitchedTo)
}

// span reads bytes that no other reader has published.
func (w *worker) span(ctx context.Context, h source.Handle, f work.File, from, to int64) error {
	b := w.buf[:min(int64(len(w.buf)), to-from)]
	n, _, err := fill(h, b, from)
	if err != nil {
		return readError(f, from, err)
	}
	if err := w.feed.StartRange(f.Record(), f.Size, from, to); err != nil {
		return err
	}
	if err := w.pass(ctx, h, f, b, n, from, to); err != nil {
		return err
	}
	return w.feed.EndRange()
}

// missing is a file that vanished while others read ranges of it.
type missing struct{}

func (missing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (missing) Close() error                      { return nil }

// small reads many small files in few round trips.
func (w *worker) small(ctx context.Context, src source.Batcher, files []work.File) error {
	ranges := make([]source.Range, len(files))
	for i, f := range files {
		ranges[i] = source.Range{Tree: f.Tree, Path: f.Path, Length: max(int(f.Size), 1)}
		if f.Loose() {
			ranges[i].Length = len(w.buf)
		}
	}
	w.s.file.Store(files[0].Path)
	// The bytes are kept until all have come: the answer holds the connection, which a second look at a page may need.
	got := make([][]byte, len(files))
	arena := w.arena[:0]
	err := src.ReadRanges(ctx, ranges, func(i int, data []byte) error {
		if data == nil {
			return nil
		}
		if files[i].Loose() && len(data) < len(w.buf) {
			files[i].Size = int64(len(data))
		}
		at := len(arena)
		arena = append(arena, data[:min(len(data), int(files[i].Size))]...)
		got[i] = arena[at:len(arena):len(arena)]
		return nil
	})
	w.arena = arena
	if err != nil {
		return err
	}
	for i, f := range files {
		if got[i] == nil {
			if err := w.vanished(f, false); err != nil {
				return err
			}
			continue
		}
		b := w.buf[:f.Size]
		n := copy(b, got[i])
		clear(b[n:])
		if err := w.feed.StartFile(f.Record(), f.Size); err != nil {
			return err
		}
		if err := w.pass(ctx, again{ctx, w.src, f}, f, b, n, 0, f.Size); err != nil {
			return err
		}
		if err := w.feed.EndFile(); err != nil {
			return err
		}
	}
	return nil
}

// again opens a file for one more look at a page.
type again struct {
	ctx context.Context
	src source.Reader
	f   work.File
}

func (a again) ReadAt(p []byte, off int64) (int, error) {
	h, err := a.src.Open(a.ctx, a.f.Tree, a.f.Path)
	if err != nil {
		return 0, err
	}
	defer h.Close()
	return h.ReadAt(p, off)
}

func (again) Close() error { return nil }
