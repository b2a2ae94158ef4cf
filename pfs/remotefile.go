package pfs

import (
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"syscall"

	"polarcast/pfs/internal/sdk"
)

// remoteFile is an open file on PFS.
type remoteFile struct {
	h      *handle
	name   string
	flag   int
	fd     int
	ino    uint64
	inode  *inode
	using  sync.RWMutex // held for reading by calls: the library gives the number of a closed descriptor to the next file
	closed atomic.Bool
}

func (f *remoteFile) do(op string, n int, run func() error) error {
	f.using.RLock()
	defer f.using.RUnlock()
	if f.closed.Load() {
		return pathError(op, f.name, fs.ErrClosed)
	}
	return pathError(op, f.name, f.h.do(op, f.name, n, run))
}

// ReadAt reads in calls of at most 4 MiB. Reading a file that was unlinked or replaced meanwhile is fs.ErrNotExist: PFS keeps no file that
// has no name.
func (f *remoteFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathError("read", f.name, syscall.EINVAL)
	}
	if f.flag&os.O_WRONLY != 0 {
		return 0, pathError("read", f.name, syscall.EBADF)
	}
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+maxIO)]
		var n int
		err := f.do(opRead, len(part), func() (err error) {
			n, err = sdk.Pread(f.fd, part, off+int64(done))
			return err
		})
		if err != nil {
			return done, err
		}
		done += n
		if n < len(part) {
			return done, io.EOF
		}
	}
	return done, nil
}

// WriteAt writes in calls of at most 4 MiB that are cut at multiples of 4096 bytes. What is left at the ends and does not fill a sector is
// written by one goroutine at a time.
func (f *remoteFile) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathError("write", f.name, syscall.EINVAL)
	}
	if err := f.writable("write"); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		n := min(len(p)-done, maxIO-int(at%sector))
		part := p[done : done+n]
		if err := f.writePart(part, at); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (f *remoteFile) writePart(p []byte, at int64) error {
	if at%sector != 0 || len(p)%sector != 0 {
		f.inode.ragged.Lock()
		defer f.inode.ragged.Unlock()
	}
	return f.do(opWrite, len(p), func() error {
		_, err := sdk.Pwrite(f.fd, p, at)
		return err
	})
}

func (f *remoteFile) writable(op string) error {
	if f.h.readOnly {
		return pathError(op, f.name, syscall.EROFS)
	}
	if f.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return pathError(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *remoteFile) Truncate(size int64) error {
	if err := f.writable("truncate"); err != nil {
		return err
	}
	f.inode.ragged.Lock()
	defer f.inode.ragged.Unlock()
	return f.do("truncate", 0, func() error { return sdk.Ftruncate(f.fd, size) })
}

func (f *remoteFile) Allocate(off, n int64) error {
	if err := f.writable("allocate"); err != nil {
		return err
	}
	if off < 0 || n <= 0 {
		return pathError("allocate", f.name, syscall.EINVAL)
	}
	return f.do("allocate", 0, func() error { return sdk.Fallocate(f.fd, off, n) })
}

// Sync does nothing: a write returns when its data went to the device with O_DIRECT and the journal is committed. PFS offers nothing
// stronger; it never flushes a device's own cache.
func (f *remoteFile) Sync() error { return f.do("sync", 0, func() error { return nil }) }

// StartSync does nothing, see Sync.
func (f *remoteFile) StartSync(int64, int64) error { return nil }

func (f *remoteFile) Stat() (fs.FileInfo, error) {
	var st sdk.Stat
	err := f.do("stat", 0, func() (err error) {
		st, err = sdk.StatFD(f.fd)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &remoteInfo{path.Base(f.name), st}, nil
}

// Close waits for calls that use the file. It works after its FS was closed, too; the unmount closes all files.
func (f *remoteFile) Close() error {
	if f.closed.Swap(true) {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.using.Lock()
	defer f.using.Unlock()
	f.h.d.closeInode(f.ino, f.inode)
	return pathError("close", f.name, f.h.d.do("close", f.name, 0, func() error { return sdk.Close(f.fd) }))
}
