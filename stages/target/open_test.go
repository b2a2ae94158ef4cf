package target

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
)

// overtaken lets another process do something right before a directory is looked at.
type overtaken struct {
	pfs.FS
	first func()
}

func (f *overtaken) ReadDir(name string) ([]pfs.DirEntry, error) {
	if fn := f.first; fn != nil {
		f.first = nil
		fn()
	}
	return f.FS.ReadDir(name)
}

// startEnv begins a backup "b" with the target "a" on a server of its own.
func startEnv(t *testing.T) stages.Env {
	t.Helper()
	js, err := pipeline.StartServer(pipeline.ServerOptions{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(js.Shutdown)
	client, err := pipeline.Connect(t.Context(), pipeline.ClientOptions{Server: js})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.CreateBackup(t.Context(), "b", messages.Requested{Targets: []string{"a"}}, pipeline.StreamOptions{MaxBytes: 1 << 20, Targets: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	return stages.Env{Client: client, Backup: "b"}.WithDefaults()
}

// TestTwoProcessesOpenOneTarget has two processes of one target that start at the same moment: one takes the directories between the moments at which
// the other reads the event log and the directory.
func TestTwoProcessesOpenOneTarget(t *testing.T) {
	ctx, env := t.Context(), startEnv(t)
	dir := t.TempDir()
	layout := func() *Layout {
		t.Helper()
		l, err := NewLayout(Config{Name: "a", Format: Plain, Dir: filepath.Join(dir, "data"), WALDir: filepath.Join(dir, "wal")}, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	one, two := layout(), layout()
	one.local = &overtaken{FS: pfs.Local(), first: func() {
		if err := two.Open(ctx, env); err != nil {
			t.Errorf("the first: %v", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "wal", "000000010000000000000001"), nil, 0o600); err != nil {
			t.Error(err)
		}
	}}
	if err := one.Open(ctx, env); err != nil {
		t.Errorf("the second: %v", err)
	}
}

// TestAloneWaitsForOtherWriters keeps a directory from becoming a node while another process has it open.
func TestAloneWaitsForOtherWriters(t *testing.T) {
	dir := t.TempDir()
	if err := Mark(dir, "b"); err != nil {
		t.Fatal(err)
	}
	open := func() *Layout {
		t.Helper()
		l, err := NewLayout(Config{Name: "a", Format: Plain, Dir: dir}, false, nil)
		if err == nil {
			l.lock, err = flock(dir, writerFile, syscall.LOCK_SH)
		}
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	node, other := open(), open()
	told := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() { done <- node.Alone(t.Context(), 0, func([]int) { told <- struct{}{} }) }()
	<-told
	select {
	case err := <-done:
		t.Errorf("alone beside another writer: %v", err)
	case <-time.After(3 * pollWriters):
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !locked(dir) {
		t.Error("the directory is not locked")
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	if locked(dir) {
		t.Error("the directory is locked by nobody")
	}
}
