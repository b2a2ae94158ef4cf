package storage

import (
	"io/fs"
	"sync"

	"polarcast/pfs"
)

// Sizes of writes to PFS, in bytes. A call costs about 165 µs whatever its size, and a write that makes the file longer two commits of the
// journal: 32 KiB writes reach half the rate of 1 MiB ones, 4 MiB is the largest that libpfsd takes.
const (
	joinBytes = 4 << 20
	// joinFlight is how many of them one file has under way.
	joinFlight = 2
)

// joinSmall is the size of the writes of files that find no large buffer left, in bytes.
const joinSmall = 1 << 20

// joinBuffers are the large buffers of all files together.
var joinBuffers = make(chan []byte, 12)

func init() {
	for range cap(joinBuffers) {
		joinBuffers <- nil // made when it is first used
	}
}

// joinedFile joins neighbouring writes into large ones and has the disk write some of them while the next is collected. An error of a write
// comes back from the next call. What it holds is on the disk after Flush, Sync, Truncate, Stat or Close.
type joinedFile struct {
	f pfs.File

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

func joinWrites(f pfs.File) *joinedFile {
	return &joinedFile{f: f, slots: make(chan struct{}, joinFlight)}
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
		if j.buf == nil {
			j.begin(off)
		}
		// Up to the next multiple of the size, so that the writes of whole chunks stay aligned.
		room := joinBytes - int((j.at+int64(len(j.buf)))%joinBytes)
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

// begin takes a buffer for bytes from off on. What goes to where something may still be under way waits for that.
func (j *joinedFile) begin(off int64) {
	if off < j.issued {
		j.flying.Wait()
	}
	size := joinBytes
	select {
	case j.buf = <-joinBuffers:
	default:
		size = joinSmall
	}
	if j.buf == nil {
		j.buf = make([]byte, 0, size)
	}
	j.buf, j.at = j.buf[:0], off
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
		if cap(buf) == joinBytes {
			select {
			case joinBuffers <- buf:
			default:
			}
		}
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

// StartSync is advice, and PFS has nothing to start.
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
