package pfs

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openDirect opens a file once more, whatever its name is now.
func openDirect(f *os.File) (d *os.File, err error) {
	err = control(f, func(fd int) error {
		d, err = os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_WRONLY|unix.O_DIRECT, 0)
		return err
	})
	return d, err
}
