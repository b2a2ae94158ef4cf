package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var built sync.Map // package path → func() (string, error)

// Binary builds the program ./cmd/NAME of this module, once for each test process, and returns its path; the unprivileged user may run it.
// When that user may not enter the cache's directory, POLARCAST_TEST_CACHE has to name another.
func Binary(t testing.TB, name string) string {
	t.Helper()
	return build(t, "./cmd/"+name)
}

func build(t testing.TB, pkg string) string {
	t.Helper()
	once, _ := built.LoadOrStore(pkg, sync.OnceValues(func() (string, error) { return buildOnce(pkg) }))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func buildOnce(pkg string) (string, error) {
	root := moduleRoot()
	sum := sha256.Sum256([]byte(root))
	// One name for each checkout. go build leaves the file alone when nothing changed.
	dir := filepath.Join("bin", hex.EncodeToString(sum[:6]))
	var path string
	err := locked("build", func(cache string) error {
		path = filepath.Join(cache, dir, filepath.Base(pkg))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// Whatever the mask of this process is: the unprivileged user has to run what is in there.
		if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// A running program cannot be overwritten: build beside it and rename.
		tmp := path + ".new"
		cmd := exec.Command("go", "build", "-o", tmp, pkg)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
		if err := os.Chmod(tmp, 0o755); err != nil {
			return err
		}
		return os.Rename(tmp, path)
	})
	return path, err
}

// moduleRoot is the directory of go.mod, found from this source file.
func moduleRoot() string {
	_, file, _, _ := runtime.Caller(0)
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			// Built with -trimpath: the test runs in its package's directory.
			out, _ := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
			return strings.TrimSpace(string(out))
		}
	}
}
