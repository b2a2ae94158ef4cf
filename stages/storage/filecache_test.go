package storage

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/stages/target"
)

// More large files at once than there are buffers, chunks in any order, sizes that are no multiple of anything, batches that end in the middle of a
// file: all bytes are there when the last batch is committed, and the sizes are those of the seals.
func TestLargeFilesAroundThePageCache(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(3, 4))
	c := newFileCache(0o600, 0o700)
	p := &plain{sync: SyncFsync, files: c}
	type chunk struct {
		file int
		off  int64
	}
	var chunks []chunk
	want := make([][]byte, 3*cap(directJoins.free))
	for i := range want {
		want[i] = make([]byte, directBytes+r.IntN(3<<20))
		for j := range want[i] {
			want[i][j] = byte(r.Uint32())
		}
		for off := 0; off < len(want[i]); off += messages.ChunkSize {
			chunks = append(chunks, chunk{i, int64(off)})
		}
	}
	r.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
	at := func(i int) target.Place {
		return target.Place{FS: pfs.Local(), Path: filepath.Join(dir, string(rune('a'+i)))}
	}
	b := newBatch()
	for n, ch := range chunks {
		h, err := c.get(b, at(ch.file), true)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := h.f.(*joinedFile); !ok {
			t.Fatal("a large file is written piece by piece")
		}
		data := want[ch.file][ch.off:]
		if _, err := h.f.WriteAt(data[:min(len(data), messages.ChunkSize)], ch.off); err != nil {
			t.Fatal(err)
		}
		if n%40 == 39 {
			if err := p.Commit(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			b = newBatch()
		}
	}
	for i := range want {
		h, err := c.get(b, at(i), true)
		if err != nil {
			t.Fatal(err)
		}
		// The files grew, or were cut, after they were listed.
		if i%2 == 0 {
			want[i] = append(want[i], make([]byte, 100_000)...)
		}
		b.files[h] = int64(len(want[i]))
	}
	if err := p.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if got, err := os.ReadFile(at(i).Path); err != nil || !bytes.Equal(got, w) {
			t.Errorf("file %d differs (%d bytes, want %d; %v)", i, len(got), len(w), err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if len(directJoins.free) != cap(directJoins.free) {
		t.Errorf("%d of %d buffers were given back", len(directJoins.free), cap(directJoins.free))
	}
}
