// Package pfsdouble builds libpfsd_double, a stand-in for PolarDB FileSystem's client library over a plain directory, and prepares it for a
// test. README.md tells what the library imitates, and its faults.
package pfsdouble

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

//go:embed *.c *.h
var sources embed.FS

// Library returns the path of the built library. It is kept in the temporary directory under the hash of its sources, so that the packages of
// one test run build it once. $PFSD_DOUBLE_LIB names a library to take instead. The test is skipped where there is no C compiler.
func Library(tb testing.TB) string {
	tb.Helper()
	if lib := os.Getenv("PFSD_DOUBLE_LIB"); lib != "" {
		return lib
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		tb.Skip("no C compiler for the libpfsd double")
	}
	lib, err := build(cc)
	if err != nil {
		tb.Fatal(err)
	}
	return lib
}

var building sync.Mutex

func build(cc string) (string, error) {
	building.Lock()
	defer building.Unlock()
	names, err := fs.Glob(sources, "*.[ch]")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range names {
		b, err := sources.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(b))
		sum.Write(b)
	}
	top := filepath.Join(os.TempDir(), fmt.Sprintf("polarcast-pfsdouble-%d", os.Getuid()))
	lib := filepath.Join(top, hex.EncodeToString(sum.Sum(nil)[:8])+".so")
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	if err := os.MkdirAll(top, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(top, "build")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	args := []string{"-shared", "-fPIC", "-O1", "-o", "double.so"}
	for _, name := range names {
		b, err := sources.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(work, name), b, 0o644); err != nil {
			return "", err
		}
		if filepath.Ext(name) == ".c" {
			args = append(args, name)
		}
	}
	cmd := exec.Command(cc, args...)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("could not build the libpfsd double: %w\n%s", err, out)
	}
	// Another test process may have done the same meanwhile: whoever comes last wins, both are equal.
	return lib, os.Rename(filepath.Join(work, "double.so"), lib)
}

// Double is the library with its disks, for one test.
type Double struct {
	Library string // for pfs.MountOptions.Library and --pfsd-lib
	Root    string // has a directory for each disk
	RunDir  string // pfsd's run directory
	tb      testing.TB
}

// New builds the library and makes a root with the named disks. It sets PFSD_DOUBLE_ROOT, PFSD_RUN_DIR and PFSD_DOUBLE_CONTROL for the test
// and the processes that it starts.
func New(tb testing.TB, disks ...string) *Double {
	tb.Helper()
	d := Make(tb, disks...)
	for _, v := range d.Env() {
		name, value, _ := strings.Cut(v, "=")
		tb.Setenv(name, value)
	}
	return d
}

// Env is what processes must have in their environment that are to use the double.
func (d *Double) Env() []string {
	return []string{"PFSD_DOUBLE_ROOT=" + d.Root, "PFSD_RUN_DIR=" + d.RunDir, "PFSD_DOUBLE_CONTROL=" + d.control()}
}

// Make is New for tests that run beside others: it leaves the environment alone.
func Make(tb testing.TB, disks ...string) *Double {
	tb.Helper()
	root := tb.TempDir()
	d := &Double{Library: Library(tb), Root: root, RunDir: filepath.Join(root, ".run"), tb: tb}
	for _, disk := range disks {
		if err := os.Mkdir(d.Dir(disk), 0o777); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

// Dir is the directory that stands for a disk.
func (d *Double) Dir(disk string) string { return filepath.Join(d.Root, disk) }

func (d *Double) control() string { return filepath.Join(d.Root, ".control") }

// Faults switches faults for all processes that use the double, from their next call on, and switches off what is not named: for instance
// "down", "eio=pwrite", "blocks=10 inodes=5".
func (d *Double) Faults(faults string) {
	d.tb.Helper()
	tmp := d.control() + ".new"
	err := os.WriteFile(tmp, []byte(faults+"\n"), 0o644)
	if err == nil {
		err = os.Rename(tmp, d.control())
	}
	if err != nil {
		d.tb.Fatal(err)
	}
}
