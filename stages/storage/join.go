package storage

import (
	"io/fs"
	"sync"

	"polarcast/pfs"
)

// joinFlight is how many writes one file has under way.
const joinFlight = 2

// joinedFile joins neighbouring writes into large ones and has the disk write some of them while the next is collected. An error of a write
// comes back from the next call. What it holds is on the disk after Flush, Sync, Truncate, Stat or Close.
type joinedFile struct {
	f    pfs.File
	pool *joinPool

	mu     sync.Mutex
	buf    []byte
	at     int64 // offset of buf
	issued int64 // end of what was handed to the disk; a write before it waits for what is under way
	slots  chan struct{}
	flying sync.WaitGroup

	errMu sync.Mutex
	err   error
}

var _ pfs.File = (*joinedFile)(nil)

func joinWrites(f pfs.File, pool *joinPool) *joinedFile {
	return &joinedFile{f: f, pool: pool, slots: make(chan struct{}, joinFlight)}
}

// WriteAt keeps the bytes until there are enough of them, or they do not follow each other.
func (j *joinedFile) WriteAt(p []byte, off int64) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.failed(); err != nil {
		return 0, err
	}
	n := len(p)
	for len(p) > 0 {
		if j.buf != nil && off != j.at+int64(len(j.buf)) {
			j.issue()
		}
		if j.buf == nil && !j.begin(off) {
			_, err := j.f.WriteAt(p, off)
			return n, err
		}
		// Up to the next multiple of the size, so that the writes of whole chunks stay aligned.
		room := j.pool.size - int((j.at+int64(len(j.buf)))%int64(j.pool.size))
		k := min(room, len(p), cap(j.buf)-len(j.buf))
		j.buf = append(j.buf, p[:k]...)
		off += int64(k)
		p = p[k:]
		if k == room || len(j.buf) == cap(j.buf) {
			j.issue()
		}
	}
	return n, j.failed()
}

// begin takes a buffer for bytes from off on; false when the pool has none. What goes to where something may still be under way waits for that.
func (j *joinedFile) begin(off int64) bool {
	if off < j.issued {
		j.flying.Wait()
	}
	j.buf, j.at = j.pool.get(), off
	return j.buf != nil
}

// issue hands what was collected to the disk.
func (j *joinedFile) issue() {
	buf, at := j.buf, j.at
	j.buf = nil
	j.issued = max(j.issued, at+int64(len(buf)))
	j.slots <- struct{}{}
	j.flying.Add(1)
	go func() {
		defer j.flying.Done()
		_, err := j.f.WriteAt(buf, at)
		if err != nil {
			j.errMu.Lock()
			if j.err == nil {
				j.err = err
			}
			j.errMu.Unlock()
		}
		j.pool.put(buf)
		<-j.slots
	}()
}

func (j *joinedFile) failed() error {
	j.errMu.Lock()
	defer j.errMu.Unlock()
	return j.err
}

// Flush returns when all bytes are written, or with the first error.
func (j *joinedFile) Flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.flush()
}

func (j *joinedFile) flush() error {
	if len(j.buf) > 0 {
		j.issue()
	}
	j.flying.Wait()
	return j.failed()
}

// locked runs one call after all writes.
func (j *joinedFile) locked(call func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.flush(); err != nil {
		return err
	}
	return call()
}

func (j *joinedFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = j.locked(func() error { n, err = j.f.ReadAt(p, off); return err })
	return n, err
}

func (j *joinedFile) Truncate(size int64) error {
	return j.locked(func() error { return j.f.Truncate(size) })
}

func (j *joinedFile) Allocate(off, n int64) error {
	return j.locked(func() error { return j.f.Allocate(off, n) })
}

func (j *joinedFile) Sync() error { return j.locked(j.f.Sync) }

// StartSync is advice, and what was written so is on its way already.
func (j *joinedFile) StartSync(_, _ int64) error { return nil }

func (j *joinedFile) Stat() (st fs.FileInfo, err error) {
	err = j.locked(func() error { st, err = j.f.Stat(); return err })
	return st, err
}

// Close writes what is left and closes the file whatever comes of it.
func (j *joinedFile) Close() error {
	err := j.Flush()
	if e := j.f.Close(); err == nil {
		err = e
	}
	return err
}
