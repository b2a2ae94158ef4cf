package oserr

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestCause(t *testing.T) {
	_, missing := os.Open("/no/such/file")
	link := os.Symlink("a", "/no/such/dir/b")
	other := errors.New("something else")
	for _, c := range []struct {
		err  error
		want string
		is   error
	}{
		{missing, "No such file or directory", fs.ErrNotExist},
		{fmt.Errorf("wrapped: %w", missing), "No such file or directory", fs.ErrNotExist},
		{link, "No such file or directory", fs.ErrNotExist},
		{os.NewSyscallError("write", syscall.ENOSPC), "No space left on device", syscall.ENOSPC},
		{syscall.EACCES, "Permission denied", fs.ErrPermission},
		{other, "something else", other},
	} {
		got := Cause(c.err)
		if got.Error() != c.want || !errors.Is(got, c.is) {
			t.Errorf("%v: got %v", c.err, got)
		}
	}
}
