package pfs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"polarcast/pfs"
)

// logLines is a slog handler that gives each line to a channel.
type logLines struct {
	slog.Handler
	lines chan string
}

func newLog() (*slog.Logger, chan string) {
	l := &logLines{slog.Default().Handler(), make(chan string, 10000)}
	return slog.New(l), l.lines
}

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	s := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { s += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	l.lines <- s
	return nil
}

func waitFor(t *testing.T, lines chan string, words string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case l := <-lines:
			if strings.Contains(l, words) {
				return l
			}
		case <-deadline:
			t.Fatalf("no log line says %q", words)
		}
	}
}

func create(t *testing.T, f pfs.FS, name string) pfs.File {
	t.Helper()
	file, err := f.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

// A call that hangs is reported, goes on without an error when pfsd is back, and nothing is lost.
func TestPFSDGoesAwayAndComesBack(t *testing.T) {
	d := newDouble(t, "disk1")
	o := options(d, "disk1")
	var lines chan string
	o.Logger, lines = newLog()
	o.StallAfter = 10 * time.Millisecond
	file := create(t, mount(t, o), "/disk1/f")
	d.Faults("down")
	var done sync.WaitGroup
	done.Go(func() {
		if _, err := file.WriteAt([]byte("hello"), 0); err != nil {
			t.Error(err)
		}
	})
	l := waitFor(t, lines, "pfsd does not answer")
	for _, w := range []string{"WARN", "call=write", "path=/disk1/f", "pfsd is down"} {
		if !strings.Contains(l, w) {
			t.Errorf("the line %q does not say %q", l, w)
		}
	}
	<-pfs.Hung()
	d.Faults("")
	done.Wait()
	waitFor(t, lines, "pfsd answers again")
	select {
	case <-pfs.Hung():
		t.Error("nothing hangs any more")
	default:
	}
	if got, err := os.ReadFile(filepath.Join(d.Dir("disk1"), "f")); string(got) != "hello" {
		t.Errorf("the file has %q, %v", got, err)
	}
}

func TestCloseWhilePFSDIsAway(t *testing.T) {
	d := newDouble(t, "disk1")
	defer pfs.SetCloseTimeout(20 * time.Millisecond)()
	f := mount(t, options(d, "disk1"))
	d.Faults("down")
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("Close: %v", err)
	}
	d.Faults("")
	again := mount(t, options(d, "disk1")) // waits for the unmount in the background
	pfs.SetCloseTimeout(10 * time.Second)
	must(t, again.Close())
}

func TestSpaceErrorsInWords(t *testing.T) {
	d := newDouble(t, "disk1")
	f := mount(t, options(d, "disk1"))
	file := create(t, f, "/disk1/f")
	d.Faults("blocks=1")
	_, err := file.WriteAt(make([]byte, 8<<20), 0)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "growfs") {
		t.Errorf("a full disk: %v", err)
	}
	if err := file.Allocate(0, 1<<30); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("allocating: %v", err)
	}
	for _, fault := range []string{"inodes=1", "direntries=1"} {
		d.Faults(fault)
		err := f.Mkdir("/disk1/d", 0o700)
		if !errors.Is(err, pfs.ErrTooManyFiles) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "2048") {
			t.Errorf("%s: %v", fault, err)
		}
	}
	d.Faults("eio=pwrite,stat")
	if _, err = file.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "/var/log/pfsd-disk1") {
		t.Errorf("EIO: %v", err)
	}
	var pe *fs.PathError
	if _, err = f.Stat("/disk1/f"); !errors.As(err, &pe) || pe.Path != "/disk1/f" {
		t.Errorf("Stat: %v", err)
	}
}

func TestPrivateFilesAndForeignPaths(t *testing.T) {
	d := newDouble(t, "disk1")
	f := mount(t, options(d, "disk1"))
	for _, dir := range []string{"/disk1", "/disk1/"} {
		entries, err := f.ReadDir(dir)
		if err != nil || len(entries) != 0 {
			t.Errorf("ReadDir(%s) = %v, %v", dir, entries, err)
		}
	}
	for _, name := range []string{"/disk1/.pfs-journal", "/disk1//./.pfs-paxos", "/disk1/a/../.pfs-journal"} {
		if err := f.Remove(name); !errors.Is(err, syscall.EPERM) {
			t.Errorf("Remove(%s) = %v", name, err)
		}
		if err := f.Rename("/disk1/x", name); !errors.Is(err, syscall.EPERM) {
			t.Errorf("Rename to %s = %v", name, err)
		}
	}
	for _, name := range []string{"/etc/passwd", "disk1/x", "", "/", "/disk2/x", "/disk1/../etc/passwd", "/disk1/a/../../etc", "/disk10/x"} {
		if err := f.Mkdir(name, 0o700); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Mkdir(%q) = %v", name, err)
		}
	}
}

func TestUnlinkedWhileOpen(t *testing.T) {
	d := newDouble(t, "disk1")
	f := mount(t, options(d, "disk1"))
	file := create(t, f, "/disk1/f")
	must(t, f.Remove("/disk1/f"))
	if _, err := file.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteAt: %v", err)
	}
	must(t, file.Close())
}

// The library prints on the C library's stderr; that must reach our log with its level, and leave descriptor 2 alone.
func TestLibraryLogIsCaptured(t *testing.T) {
	d := newDouble(t, "disk1")
	o := options(d, "disk1")
	var lines chan string
	o.Logger, lines = newLog()
	f := mount(t, o)
	must(t, f.Mkdir("/disk1/d", 0o700))
	if l := waitFor(t, lines, "mkdir /disk1/d"); !strings.HasPrefix(l, "DEBUG libpfsd: ") {
		t.Errorf("got %q", l)
	}
	d.Faults("eio=mkdir")
	if f.Mkdir("/disk1/e", 0o700) == nil {
		t.Fatal("no error")
	}
	if l := waitFor(t, lines, "Input/output error"); !strings.HasPrefix(l, "WARN libpfsd: ") {
		t.Errorf("got %q", l)
	}
}

func TestWritesInMultiplesOfSectors(t *testing.T) {
	d := newDouble(t, "disk1")
	file := create(t, mount(t, options(d, "disk1")), "/disk1/f")
	want := []byte(strings.Repeat("0123456789abcdef", 9<<16))
	if n, err := file.WriteAt(want, 100); n != len(want) || err != nil {
		t.Fatal(n, err)
	}
	got, err := os.ReadFile(filepath.Join(d.Dir("disk1"), "f"))
	if err != nil || string(got[100:]) != string(want) {
		t.Error("the content differs", err)
	}
}

// A call that comes late does not reach the file that has got the descriptor's number.
func TestWritesBesideClose(t *testing.T) {
	d := newDouble(t, "disk1")
	f := mount(t, options(d, "disk1"))
	other, err := f.Open("/disk1/other", os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	var writers sync.WaitGroup
	for range 100 {
		file, err := f.Open("/disk1/f", os.O_RDWR|os.O_CREATE, 0o600)
		must(t, err)
		for range 4 {
			writers.Go(func() {
				for {
					if _, err := file.WriteAt([]byte("late"), 0); err != nil {
						if !errors.Is(err, fs.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		must(t, other.Close())
		must(t, file.Close())
		other, err = f.Open("/disk1/other", os.O_RDWR|os.O_CREATE, 0o600)
		must(t, err)
		writers.Wait()
	}
	must(t, other.Close())
	if st, err := f.Stat("/disk1/other"); err != nil || st.Size() != 0 {
		t.Errorf("the other file has %d bytes, %v", st.Size(), err)
	}
}
