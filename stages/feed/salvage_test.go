package feed_test

import (
	"errors"
	"testing"
	"time"

	"polarcast/messages"
)

// TestSalvage loses the source in the middle of a chunk: every complete chunk before it is delivered and in the index, so that the next session finds
// it, and what came of the broken one is not published.
func TestSalvage(t *testing.T) {
	c, backup := startClient(t)
	const path, whole = "base/5/16384", 5
	f := openFeed(t, c, backup)
	if err := f.StartFile(messages.Record{Path: path, Mode: 0o600}, 9*messages.ChunkSize); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(make([]byte, whole*messages.ChunkSize+100)); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the server went away")
	f.Salvage(gone)
	chunks, seal := indexed(t, c, backup, path)
	if len(chunks) != whole || seal != nil {
		t.Errorf("the index has %d chunks of the file, want %d; seal %v", len(chunks), whole, seal)
	}
	for off, k := range chunks {
		if k.Len != messages.ChunkSize || !k.Published {
			t.Errorf("chunk at %d: %+v", off, k)
		}
	}
	if err := f.Write([]byte("more")); !errors.Is(err, gone) {
		t.Errorf("writing afterwards: %v, want %v", err, gone)
	}
}

// TestSalvageOfNothing ends a feed that is between files, and one that has failed already: neither waits.
func TestSalvageOfNothing(t *testing.T) {
	c, backup := startClient(t)
	gone := errors.New("the server went away")
	openFeed(t, c, backup).Salvage(gone)
	f := openFeed(t, c, backup)
	f.Abort(errors.New("before"))
	done := make(chan struct{})
	go func() { f.Salvage(gone); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it still waits")
	}
}
