package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"

	"polarcast/internal/oserr"
	"polarcast/pfs"
	"polarcast/stages/target"
)

// maxOpenFiles bounds the descriptors that are kept for the next chunk. Those of a batch under way come on top until it is committed.
const maxOpenFiles = 64

type dirKey struct {
	fs  pfs.FS
	dir string
}

// handle is one open file of the target.
type handle struct {
	at             target.Place
	f              pfs.File
	sinceWriteback int64
	refs           int // batches that hold it
	cached         bool
}

// flush returns when all bytes that the file was given are written.
func (h *handle) flush() error {
	if j, ok := h.f.(*joinedFile); ok {
		if err := j.Flush(); err != nil {
			return fmt.Errorf("could not write to file \"%s\": %w", h.at.Path, unwrap(err))
		}
	}
	return nil
}

// size returns the bytes of the file, whoever has written them.
func (h *handle) size() (int64, error) {
	if err := h.flush(); err != nil {
		return 0, err
	}
	st, err := h.f.Stat()
	if err != nil {
		return 0, fmt.Errorf("could not stat file \"%s\": %w", h.at.Path, unwrap(err))
	}
	return st.Size(), nil
}

// fileCache keeps files open between chunks. get is called by one goroutine, release by another.
type fileCache struct {
	fileMode, dirMode fs.FileMode

	mu    sync.Mutex
	pulse *pulse // asked before each write; nil is not asked
	open  map[string]*handle
	order []*handle // least recently opened first
}

func newFileCache(fileMode, dirMode fs.FileMode) *fileCache {
	return &fileCache{fileMode: fileMode, dirMode: dirMode, open: map[string]*handle{}}
}

// noSize is the size of a file of which more may come.
const noSize = -1

// get returns the file of a place, created when it is not there, and makes it part of the batch. direct says that its bytes go around the page cache
// when it is not open yet.
func (c *fileCache) get(b *Batch, at target.Place, direct bool) (*handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.open[at.Path]
	if h == nil {
		f, created, err := c.openFile(at)
		if err != nil {
			return nil, err
		}
		switch {
		case at.FS.Info().Kind == pfs.KindPFS:
			f = joinWrites(guardedFile{f, c.pulse}, pfsJoins)
		case direct:
			f = joinWrites(guardedFile{pfs.Direct(f), c.pulse}, directJoins)
		default:
			f = guardedFile{f, c.pulse}
		}
		h = &handle{at: at, f: f, cached: true}
		if created {
			b.dirs[dirKey{at.FS, path.Dir(at.Path)}] = struct{}{}
		}
		c.open[at.Path] = h
		c.order = append(c.order, h)
		c.evict()
	}
	if _, ok := b.files[h]; !ok {
		b.files[h] = noSize
		h.refs++
	}
	return h, nil
}

func (c *fileCache) openFile(at target.Place) (f pfs.File, created bool, err error) {
	f, err = at.FS.Open(at.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, c.fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = pfs.MkdirAll(at.FS, path.Dir(at.Path), c.dirMode); err == nil {
			f, err = at.FS.Open(at.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, c.fileMode)
		}
	}
	if err == nil {
		return f, true, nil
	}
	if errors.Is(err, fs.ErrExist) {
		f, err = at.FS.Open(at.Path, os.O_RDWR, c.fileMode)
	}
	if errors.Is(err, syscall.EISDIR) { // an old copy has a directory there
		if err = pfs.RemoveAll(at.FS, at.Path); err == nil {
			f, err = at.FS.Open(at.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, c.fileMode)
			created = true
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("could not create file \"%s\": %w", at.Path, unwrap(err))
	}
	return f, created, nil
}

// evict closes the oldest files that no batch holds; those that one holds are closed when it releases them.
func (c *fileCache) evict() {
	for len(c.order) > maxOpenFiles {
		c.drop(c.order[0])
	}
}

func (c *fileCache) drop(h *handle) {
	for i, o := range c.order {
		if o == h {
			c.order = append(c.order[:i], c.order[i+1:]...)
			break
		}
	}
	delete(c.open, h.at.Path)
	h.cached = false
	if h.refs == 0 {
		h.f.Close()
	}
}

// forget closes the file of a place that is about to be removed, and all below it.
func (c *fileCache) forget(b *Batch, at target.Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range append([]*handle(nil), c.order...) {
		if h.at.Path == at.Path {
			if _, ok := b.files[h]; ok {
				delete(b.files, h)
				h.refs--
			}
			c.drop(h)
		}
	}
}

// release gives back the files of a batch.
func (c *fileCache) release(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range b.files {
		h.refs--
		if h.refs == 0 && !h.cached {
			h.f.Close()
		}
	}
	b.files = nil
}

func (c *fileCache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, h := range c.order {
		errs = append(errs, h.f.Close())
	}
	c.open, c.order = map[string]*handle{}, nil
	return errors.Join(errs...)
}

// unwrap drops the operation and the path that Go adds: the messages name the path themselves, as pg_basebackup's do.
func unwrap(err error) error { return oserr.Cause(err) }
