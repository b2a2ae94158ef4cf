package feed_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
)

func startClient(t *testing.T) (*pipeline.Client, string) {
	t.Helper()
	ctx := t.Context()
	js, err := pipeline.StartServer(pipeline.ServerOptions{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(js.Shutdown)
	c, err := pipeline.Connect(ctx, pipeline.ClientOptions{Server: js})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	req := messages.Requested{Source: "files", Targets: []string{"main"}}
	if err := c.CreateBackup(ctx, "b", req, pipeline.StreamOptions{Targets: req.Targets}); err != nil {
		t.Fatal(err)
	}
	return c, "b"
}

// indexed returns what the index says of a file.
func indexed(t *testing.T, c *pipeline.Client, backup, path string) (chunks map[int64]messages.PartChunk, seal *messages.Record) {
	t.Helper()
	chunks = map[int64]messages.PartChunk{}
	err := c.Index(t.Context(), backup, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var r messages.Record
		for {
			if err := rd.Next(&r); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if r.Path != path {
				continue
			}
			if r.Kind == messages.KindSeal {
				s := r
				seal = &s
				continue
			}
			parts, err := r.PartChunks(nil)
			if err != nil {
				return err
			}
			off := r.Offset
			for _, p := range parts {
				chunks[off] = p
				off += int64(p.Len)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return chunks, seal
}

func openFeed(t *testing.T, c *pipeline.Client, backup string) *feed.Feed {
	t.Helper()
	f, err := feed.New(t.Context(), feed.Config{Client: c, Backup: backup, Session: 1, Subject: pipeline.SubjectData, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRangesOfOneFile publishes a file by two feeds: the parts cover it, and their checksums combine to that of the file.
func TestRangesOfOneFile(t *testing.T) {
	c, backup := startClient(t)
	const cut, size = 3 * messages.ChunkSize, 5*messages.ChunkSize + 100
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
	meta := messages.Record{Path: "base/1/2"}
	a, b := openFeed(t, c, backup), openFeed(t, c, backup)
	for _, r := range []struct {
		f        *feed.Feed
		from, to int64
	}{{b, cut, size}, {a, 0, cut}} {
		if err := r.f.StartRange(meta, size, r.from, r.to); err != nil {
			t.Fatal(err)
		}
		if err := r.f.Write(data[r.from:r.to]); err != nil {
			t.Fatal(err)
		}
		if err := r.f.EndRange(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Seal(meta, size, size); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*feed.Feed{a, b} {
		if _, err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	chunks, seal := indexed(t, c, backup, meta.Path)
	if seal == nil || seal.Size != size || seal.Offset != size || seal.Flags&messages.FlagSplit == 0 || seal.CRC != 0 {
		t.Fatalf("the seal is %+v", seal)
	}
	var crc uint32
	for off := int64(0); off < size; {
		k, ok := chunks[off]
		if !ok {
			t.Fatalf("no part covers byte %d", off)
		}
		crc = messages.CombineCRC32C(crc, k.CRC, int64(k.Len))
		off += int64(k.Len)
	}
	if want := messages.CRC32C(data); crc != want {
		t.Errorf("the parts' checksums combine to %08X, want %08X", crc, want)
	}
}

// TestRangeIsRefused holds ranges to their form.
func TestRangeIsRefused(t *testing.T) {
	c, backup := startClient(t)
	f := openFeed(t, c, backup)
	defer f.Abort(nil)
	meta := messages.Record{Path: "x"}
	for _, r := range [][3]int64{{10, 1, 5}, {10, 0, 11}, {10, -messages.ChunkSize, 5}} {
		if err := f.StartRange(meta, r[0], r[1], r[2]); err == nil {
			t.Fatalf("range %v was accepted", r)
		}
	}
	if err := f.StartRange(meta, 10, 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := f.EndRange(); err == nil {
		t.Error("a range without its bytes was ended")
	}
}

// TestMarkComesAfterTheIndex calls a mark only when the parts before it can be read from the index, also when nothing follows.
func TestMarkComesAfterTheIndex(t *testing.T) {
	c, backup := startClient(t)
	f := openFeed(t, c, backup)
	meta := messages.Record{Path: "base/1/3"}
	if err := f.StartFile(meta, 1000); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := f.EndFile(); err != nil {
		t.Fatal(err)
	}
	marked := make(chan struct{})
	if err := f.Mark(func() { close(marked) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-marked:
	case <-time.After(30 * time.Second):
		t.Fatal("the mark was never called")
	}
	if chunks, seal := indexed(t, c, backup, meta.Path); len(chunks) != 1 || seal == nil {
		t.Errorf("at the mark the index holds %d chunks, seal %+v", len(chunks), seal)
	}
	done, err := feed.LoadDone(context.Background(), c, backup, 1, []uint64{messages.PathKey(0, meta.Path)})
	if err != nil {
		t.Fatal(err)
	}
	d := done[messages.PathKey(0, meta.Path)]
	if !d.Sealed || !d.Covers(0, 1000) || d.Covers(0, 999) || d.Covers(messages.ChunkSize, 1) {
		t.Errorf("what was done is %+v", d)
	}
	if _, err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
