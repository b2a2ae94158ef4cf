package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"polarcast/pfs"
)

// syncers is how many files are synchronised at once: the file system joins their journal commits.
const syncers = 4

// smallFile is up to what size, in bytes, files are written to the disk only with their batch: their writes, one after the other, keep the device
// busy then, which is told of each of them when they come one by one.
const smallFile = 64 << 10

// syncBatch makes all files and directories of a batch durable.
func syncBatch(ctx context.Context, m SyncMethod, b *Batch) error {
	switch m {
	case SyncNone:
		return nil
	case SyncFS:
		return syncFileSystems(b)
	}
	for h, size := range b.files {
		if size != noSize && size <= smallFile {
			_ = h.f.StartSync(0, 0) // advice only
		}
	}
	work := make(chan func() error)
	errc := make(chan error, syncers)
	var wg sync.WaitGroup
	for range syncers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var first error
			for fn := range work {
				if first == nil {
					first = fn()
				}
			}
			errc <- first
		}()
	}
	for h, size := range b.files {
		work <- func() error {
			if err := h.finish(size); err != nil {
				return err
			}
			if err := h.f.Sync(); err != nil {
				return fmt.Errorf("could not fsync file \"%s\": %w", h.at.Path, unwrap(err))
			}
			return nil
		}
	}
	for d := range b.dirs {
		work <- func() error {
			// A directory that was removed after something in it was: its own parent is among the others.
			if err := d.fs.SyncDir(d.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("could not fsync directory \"%s\": %w", d.dir, unwrap(err))
			}
			return nil
		}
	}
	close(work)
	wg.Wait()
	close(errc)
	for err := range errc {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// finish writes what was joined, and gives a sealed file its size.
func (h *handle) finish(size int64) error {
	if size == noSize {
		return h.flush()
	}
	// Not by what this process has written: another one may have written more.
	have, err := h.size()
	if err != nil {
		return err
	}
	if have != size {
		if err := h.f.Truncate(size); err != nil {
			return fmt.Errorf("could not set the size of file \"%s\" to %d: %w", h.at.Path, size, unwrap(err))
		}
	}
	return nil
}

// fsSyncer is implemented by file systems that can be synchronised as a whole.
type fsSyncer interface{ SyncFS(dir string) error }

func syncFileSystems(b *Batch) error {
	done := map[dirKey]bool{}
	for h := range b.files {
		k := dirKey{h.at.FS, rootOf(h.at.FS, h.at.Path)}
		if done[k] {
			continue
		}
		done[k] = true
		s, ok := h.at.FS.(fsSyncer)
		if !ok {
			if err := h.f.Sync(); err != nil {
				return fmt.Errorf("could not fsync file \"%s\": %w", h.at.Path, unwrap(err))
			}
			delete(done, k)
			continue
		}
		if err := s.SyncFS(h.at.Path); err != nil {
			return fmt.Errorf("could not synchronize the file system of \"%s\": %w", h.at.Path, unwrap(err))
		}
	}
	return nil
}

// rootOf groups places that are surely on one file system: the parent directory.
func rootOf(_ pfs.FS, p string) string {
	for i := len(p) - 1; i > 0; i-- {
		if p[i] == '/' {
			return p[:i]
		}
	}
	return "/"
}
