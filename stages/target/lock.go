package target

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	if err = lockFile(f, how); err != nil {
		f.Close()
		return nil, fmt.Errorf("could not lock file \"%s\": %w", path, err)
	}
	return f, nil
}

// pollWriters is how often it is looked whether other processes still write.
const pollWriters = 10 * time.Millisecond

// Alone waits until no other process has the directory open for writing: one that was stopped would go on to write into what has become a node. waiting is
// called once with the other processes, as far as they are known, when they are there after patience.
func (l *Layout) Alone(ctx context.Context, patience time.Duration, waiting func(pids []int)) error {
	if l.lock == nil {
		return nil
	}
	for begin, told := time.Now(), false; ; {
		// An upgrade that fails gives up the shared lock, which nobody refuses.
		err := lockFile(l.lock, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != syscall.EWOULDBLOCK {
			return fmt.Errorf("could not lock file \"%s\": %w", l.lock.Name(), err)
		}
		if err := lockFile(l.lock, syscall.LOCK_SH|syscall.LOCK_NB); err != nil && err != syscall.EWOULDBLOCK {
			return fmt.Errorf("could not lock file \"%s\": %w", l.lock.Name(), err)
		}
		if !told && time.Since(begin) > patience {
			waiting(holders(l.lock))
			told = true
		}
		select {
		case <-time.After(pollWriters):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func lockFile(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

// holders returns the other processes that hold a lock on a file (/proc/locks); nil where that cannot be known.
func holders(f *os.File) (pids []int) {
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	b, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return nil
	}
	for _, line := range strings.Split(string(b), "\n") {
		v := strings.Fields(line) // 1: FLOCK ADVISORY READ 4711 fe:00:131081 0 EOF
		if len(v) < 6 || v[1] != "FLOCK" || !strings.HasSuffix(v[5], fmt.Sprintf(":%d", st.Ino)) {
			continue
		}
		if pid, err := strconv.Atoi(v[4]); err == nil && pid > 0 && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// locked reports whether a process on this host writes into a directory.
func locked(dir string) bool {
	path := filepath.Join(dir, MarkerDir, writerFile)
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return lockFile(f, syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
}
