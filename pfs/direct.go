package pfs

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// DirectAlign is what the offset, the length and the address of a write must be multiples of to go around the page cache, in bytes: the largest logical
// block of the usual devices.
const DirectAlign = 4096

// Direct returns f with writes that go around the kernel's page cache (O_DIRECT) where they are aligned and its file system can do that: a copy that is
// larger than memory would otherwise push everything else out of it, and costs the kernel several times the processor time. All other writes, and
// reads, are as before; the kernel keeps both in step. Sync is needed as ever: neither size nor device cache are durable without. A
// file that is not of the local file system is returned as it is.
func Direct(f File) File {
	l, ok := f.(localFile)
	if !ok {
		return f
	}
	d, err := openDirect(l.File)
	if err != nil {
		return f // this file system has no such thing
	}
	out := &directFile{localFile: l, direct: d}
	out.use.Store(true)
	return out
}

// AlignedBuffer returns an empty buffer of n bytes whose beginning suits writes around the page cache.
func AlignedBuffer(n int) []byte {
	b := make([]byte, n+DirectAlign)
	at := 0
	if r := address(b) % DirectAlign; r != 0 {
		at = DirectAlign - int(r)
	}
	return b[at : at : at+n]
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// directFile has a second descriptor for the writes that are aligned.
type directFile struct {
	localFile
	direct *os.File
	use    atomic.Bool
}

func (f *directFile) WriteAt(p []byte, off int64) (int, error) {
	if len(p) > 0 && off%DirectAlign == 0 && len(p)%DirectAlign == 0 && address(p)%DirectAlign == 0 && f.use.Load() {
		n, err := f.direct.WriteAt(p, off)
		if !errors.Is(err, syscall.EINVAL) {
			return n, err
		}
		f.use.Store(false) // it opens files so, but does not write them, or wants more than this alignment
	}
	return f.localFile.WriteAt(p, off)
}

func (f *directFile) Close() error {
	return errors.Join(f.localFile.Close(), f.direct.Close())
}
