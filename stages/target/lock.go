package target

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// writerFile is locked, shared, by each process that writes into a directory.
	writerFile = "writers"
	// openFile is locked while a directory is being taken over.
	openFile = "opening"
)

// flock opens a file of the marker directory and locks it.
func flock(dir, name string, how int) (*os.File, error) {
	path := filepath.Join(dir, MarkerDir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("could not open file \"%s\": %w", path, unwrapPath(err))
	}
	for {
		if err = syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("could not lock file \"%s\": %w", path, err)
	}
	return f, nil
}

// locked reports whether a process on this host writes into a directory.
func locked(dir string) bool {
	path := filepath.Join(dir, MarkerDir, writerFile)
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
}
