package oserr

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Cause returns what is below a *fs.PathError, *os.LinkError or *os.SyscallError, worded as strerror(3) words it. Other errors come back as they
// are. errors.Is and errors.As see through it.
func Cause(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	var se *os.SyscallError
	switch {
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	case errors.As(err, &se):
		err = se.Err
	}
	if errno, ok := err.(syscall.Errno); ok {
		return worded{errno}
	}
	return err
}

// worded is an errno whose text begins with a capital letter. The texts are the same otherwise.
type worded struct{ errno syscall.Errno }

func (w worded) Error() string {
	s := w.errno.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

func (w worded) Unwrap() error { return w.errno }
