package pfs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// pfsdRuns tells whether pfsd lives: it holds a lock on its pid file. The number in that file is of no use, it is the parent's.
func pfsdRuns(runDir, disk string) (bool, string) {
	name := filepath.Join(runDir, "pfsd_"+disk+".pid")
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, "there is no " + name
	}
	if err != nil {
		return false, err.Error()
	}
	defer f.Close()
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err {
	case nil:
		return false, "nobody holds the lock on " + name
	case syscall.EWOULDBLOCK:
		return true, ""
	default:
		return false, "could not test the lock on " + name + ": " + err.Error()
	}
}

func processLives(pid int) bool {
	return pid > 0 && syscall.Kill(pid, 0) != syscall.ESRCH
}
