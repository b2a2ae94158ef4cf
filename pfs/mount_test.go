package pfs_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"polarcast/pfs"
)

// wantMountError tries to mount and looks for words in the error.
func wantMountError(t *testing.T, o pfs.MountOptions, words ...string) {
	t.Helper()
	f, err := pfs.Mount(context.Background(), o)
	if err == nil {
		f.Close()
		t.Fatal("the mount succeeded")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
}

func TestMountRefusesBadOptions(t *testing.T) {
	d := newDouble(t, "disk1")
	for _, c := range []struct {
		disk string
		id   int
		want string
	}{
		{"", 1, "no disk name"}, {"/dev/sdb", 1, "no slash"}, {strings.Repeat("x", 64), 1, "63 bytes"}, {"..", 1, "no slash"},
		{"disk1", 0, "1 to 254"}, {"disk1", 255, "1 to 254"}, {"disk1", -1, "1 to 254"},
	} {
		o := options(d, c.disk)
		o.HostID = c.id
		wantMountError(t, o, c.want)
	}
}

func TestMountTellsWhy(t *testing.T) {
	d := newDouble(t, "disk1")
	o := options(d, "disk1")
	o.HostID = 31
	var lines chan string
	o.Logger, lines = newLog()
	wantMountError(t, o, "host id 31", "higher")
	if l := waitFor(t, lines, "-228"); !strings.HasPrefix(l, "DEBUG") { // the error says it in words
		t.Errorf("beside the error: %q", l)
	}
	o = options(d, "disk1")
	o.Cluster = "polarstore"
	wantMountError(t, o, "polarstore", "pfsd.log")
	d.Faults("missing=disk1")
	wantMountError(t, options(d, "disk1"), "does not know")
	d.Faults("down")
	wantMountError(t, options(d, "disk1"), "pfsd does not run", "start_pfsd.sh -p disk1")
	d.Faults("")
	mount(t, options(d, "disk1"))
}

// After a timeout the library's pid file must not stay: with it the next mount would spin for ever.
func TestMountAfterTimeout(t *testing.T) {
	d := newDouble(t, "disk1")
	d.Faults("mount_timeout")
	o := options(d, "disk1")
	o.Timeout = 40 * time.Millisecond
	wantMountError(t, o, "did not answer")
	d.Faults("")
	mount(t, options(d, "disk1"))
}

func TestMountRemovesOwnStalePidFile(t *testing.T) {
	d := newDouble(t, "disk1")
	dir := filepath.Join(d.RunDir, "disk1")
	must(t, os.MkdirAll(dir, 0o777))
	must(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getpid())+".pid"), nil, 0o644))
	mount(t, options(d, "disk1"))
}

func TestMountLeavesAPlaceForTheDatabase(t *testing.T) {
	d := newDouble(t, "disk1")
	dir := filepath.Join(d.RunDir, "disk1")
	must(t, os.MkdirAll(dir, 0o777))
	for range 6 { // living processes that have the disk
		cmd := exec.Command("sleep", "600")
		must(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(cmd.Process.Pid)+".pid"))
		must(t, err)
		t.Cleanup(func() { f.Close() })
		must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	}
	wantMountError(t, options(d, "disk1"), "6 clients", "7")
}

// The client that pfsd cannot serve blocks it: the mount ends after its time, and says what to do.
func TestMountOfOneClientTooMany(t *testing.T) {
	d := newDouble(t, "disk1")
	d.Faults("clients=0")
	o := options(d, "disk1")
	o.Timeout = 40 * time.Millisecond
	wantMountError(t, o, "did not answer", "more than 7 clients", "restart it")
}

func TestHostIDOfAnotherClient(t *testing.T) {
	d := newDouble(t, "disk1")
	dir := filepath.Join(d.RunDir, "disk1")
	must(t, os.MkdirAll(dir, 0o777))
	f, err := os.Create(filepath.Join(dir, "1.pid"))
	must(t, err)
	defer f.Close()
	f.WriteString("3 19\n")
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	wantMountError(t, options(d, "disk1"), "host id 3 is in use")
}

func TestOneDiskAProcess(t *testing.T) {
	d := newDouble(t, "disk1", "disk2")
	a := mount(t, options(d, "disk1"))
	wantMountError(t, options(d, "disk2"), `"disk2"`, `"disk1"`, "another process")
	other := options(d, "disk1")
	other.HostID = 4
	wantMountError(t, other, "host id 3")

	b := mount(t, options(d, "disk1")) // the same disk is shared
	must(t, a.Close())
	must(t, b.Mkdir("/disk1/d", 0o700))
	_, err := a.Stat("/disk1/d")
	if !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Stat through a closed mount: %v", err)
	}
	pid := filepath.Join(d.RunDir, "disk1", strconv.Itoa(os.Getpid())+".pid")
	if _, err := os.Stat(pid); err != nil {
		t.Errorf("the disk was unmounted under its second user: %v", err)
	}
	must(t, b.Close())
	must(t, b.Close()) // twice is fine
	if _, err := os.Stat(pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the disk is still mounted: %v", err)
	}
	mount(t, options(d, "disk2")) // and now the other may come
}

func TestReadOnlyMount(t *testing.T) {
	d := newDouble(t, "disk1")
	must(t, os.WriteFile(filepath.Join(d.Dir("disk1"), "f"), []byte("x"), 0o644))
	o := options(d, "disk1")
	o.ReadOnly = true
	f := mount(t, o)
	if _, err := f.Stat("/disk1/f"); err != nil {
		t.Error(err)
	}
	_, err := f.Open("/disk1/f", os.O_RDWR, 0)
	for what, err := range map[string]error{"Open": err, "Mkdir": f.Mkdir("/disk1/d", 0), "Remove": f.Remove("/disk1/f"),
		"Rename": f.Rename("/disk1/f", "/disk1/g")} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantMountError(t, options(d, "disk1"), "read-only")
}

func TestMountEndsWithItsContext(t *testing.T) {
	d := newDouble(t, "disk1")
	d.Faults("mount_timeout")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := pfs.Mount(ctx, options(d, "disk1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	d.Faults("")
	mount(t, options(d, "disk1")) // waits until the abandoned mount is undone
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
