package pfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate reserves with fallocate. glibc's posix_fallocate would write to every block where the file system cannot (NFS, some FUSE),
// which is as slow as writing the file twice: there only the size is set.
func allocate(f *os.File, off, n int64) error {
	err := control(f, func(fd int) error { return unix.Fallocate(fd, 0, off, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return extend(f, off+n)
	}
	return err
}

// startSync queues dirty pages for writing. sync_file_range does not wait for the device as long as its queue has room.
func startSync(f *os.File, off, n int64) error {
	err := control(f, func(fd int) error { return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ESPIPE) || errors.Is(err, unix.EINVAL) && off >= 0 && n >= 0 {
		return nil // this file system has no such thing; it is advice only
	}
	return err
}

func syncFS(d *os.File) error {
	return control(d, func(fd int) error { return unix.Syncfs(fd) })
}

// control runs call with the descriptor, which stays open meanwhile even when another goroutine closes the file.
func control(f *os.File, call func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var cerr error
	err = c.Control(func(fd uintptr) { cerr = ignoringEINTR(func() error { return call(int(fd)) }) })
	if err != nil {
		return err
	}
	return cerr
}
