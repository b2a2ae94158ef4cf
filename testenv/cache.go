package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// CacheDir is where downloads and built programs are kept between runs: $POLARCAST_TEST_CACHE, else polarcast-tests below $XDG_CACHE_HOME or
// ~/.cache, else (root's home is often closed to the unprivileged user who runs what is in it) /var/cache.
var CacheDir = sync.OnceValues(func() (string, error) {
	var candidates []string
	if dir := os.Getenv("POLARCAST_TEST_CACHE"); dir != "" {
		candidates = []string{filepath.Join(dir, "polarcast-tests")}
	} else {
		if dir, err := os.UserCacheDir(); err == nil {
			candidates = append(candidates, filepath.Join(dir, "polarcast-tests"))
		}
		candidates = append(candidates, "/var/cache/polarcast-tests")
	}
	var last error
	for _, dir := range candidates {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		if last = reachable(dir); last != nil {
			continue
		}
		if last = os.MkdirAll(dir, 0o755); last == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no cache directory: %w; set POLARCAST_TEST_CACHE", last)
})

// locked runs fn while this process alone holds the cache's lock of that name.
func locked(name string, fn func(cache string) error) error {
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return fn(cache)
}
