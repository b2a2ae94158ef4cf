package pfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"polarcast/pfs/internal/sdk"
)

// ErrTooManyFiles is PFS's own errno (1001, EPFS_FILE_2MANY): inodes or directory entries are used up. errors.Is(err, syscall.ENOSPC) is
// true for it as well.
const ErrTooManyFiles = sdk.TooMany

// diskError is an errno in words, with what to do.
type diskError struct {
	errno syscall.Errno
	words string
}

func (e *diskError) Error() string { return e.words }
func (e *diskError) Unwrap() error { return e.errno }
func (e *diskError) Is(target error) bool {
	return e.errno == ErrTooManyFiles && target == error(syscall.ENOSPC)
}

// ErrHung is why a process that was interrupted ends without more ado.
var ErrHung = errors.New("pfsd does not answer, and a call of it cannot be cancelled: the process ends as if it had been killed; start pfsd, then " +
	"run the same command again")

// explain puts words to the errors of PFS that an errno's own text does not explain.
func explain(err error, disk string) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	switch errno {
	case ErrTooManyFiles:
		return &diskError{errno, fmt.Sprintf("too many files on PFS disk %q (errno 1001): it has 2048 inodes and 2048 directory entries for each "+
			"10 GiB; remove files, or enlarge the disk and run pfs growfs", disk)}
	case syscall.ENOSPC:
		return &diskError{errno, fmt.Sprintf("no space left on PFS disk %q: each file takes whole blocks of 4 MiB; remove files, or enlarge the "+
			"disk and run pfs growfs", disk)}
	case syscall.EIO:
		return &diskError{errno, fmt.Sprintf("input/output error on PFS disk %q: see /var/log/pfsd-%s/pfsd.log", disk, disk)}
	case syscall.ENOMEM, syscall.ENODEV:
		return &diskError{errno, fmt.Sprintf("the mount of PFS disk %q is gone (%v)", disk, errno)}
	case sdk.Unknown:
		return &diskError{errno, fmt.Sprintf("PFS disk %q: the call failed and libpfsd gave no reason", disk)}
	}
	return err
}

// errAppend is the answer to os.O_APPEND on both file systems: a pfsd built without -fwrapv aborts on it, and chunks are written by
// position anyway.
var errAppend = fmt.Errorf("files are written by position, O_APPEND is not supported: %w", syscall.EINVAL)

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func linkError(op, oldname, newname string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: op, Old: oldname, New: newname, Err: err}
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
