package pipeline

import (
	"os"
	"syscall"
	"testing"
)

// The disk is a small tmpfs: making one needs root.
func TestDiskOfTheEmbeddedServerIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=300m"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	c := connect(t, ClientOptions{Server: startServer(t, ServerOptions{StoreDir: dir + "/store"})})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	f, err := os.Create(dir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, 290<<20); err != nil {
		t.Fatal(err)
	}
	p := c.ChunkPublisher("b", PublisherOptions{})
	ctx := testContext(t)
	for i := range 100 {
		if err = p.Publish(ctx, SubjectData, payload(p, i, 500<<10), nil); err != nil {
			break
		}
	}
	if err == nil {
		err = p.Flush(ctx)
	}
	wants(t, err, "the store of the embedded JetStream server failed", "no space left on device", "make room")
}
