package feed_test

import (
	"bytes"
	"slices"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
)

// TestOffers spares a chunk only when all targets hold it, and believes no survey that was not finished.
func TestOffers(t *testing.T) {
	c, backup := startClient(t)
	const chunk = messages.ChunkSize
	same, other := bytes.Repeat([]byte("same"), chunk/4), bytes.Repeat([]byte("none"), chunk/4)
	seqs := map[string]uint64{}
	offer := func(target, path string, content ...[]byte) {
		t.Helper()
		p := c.IndexPublisher(backup)
		var chunks []messages.PartChunk
		for _, b := range content {
			chunks = append(chunks, messages.PartChunk{Hash: messages.Hash128(b), CRC: messages.CRC32C(b), Len: uint32(len(b))})
		}
		buf := messages.AppendPart(p.Buffer(), &messages.Record{Path: path}, chunks)
		seq := make(chan uint64, 1)
		if err := p.Publish(t.Context(), pipeline.SubjectOffers(target), buf, func(n uint64, _ error) { seq <- n }); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		seqs[target+path] = <-seq
	}
	offer("b", "f", same, same, same) // of a survey that was killed: b was written to afterwards
	offer("a", "f", same, same, same)
	offer("b", "f", same, other)
	offer("a", "only-a", same)
	prior, err := feed.LoadPrior(t.Context(), c, backup, 1, nil, feed.Offers{"a": seqs["af"], "b": seqs["bf"]}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer prior.Close()
	f, err := feed.New(t.Context(), feed.Config{Client: c, Backup: backup, Session: 1, Subject: pipeline.SubjectData, Workers: 1, Prior: prior})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.StartFile(messages.Record{Path: "f"}, 3*chunk); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := f.Write(same); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.EndFile(); err != nil {
		t.Fatal(err)
	}
	tot, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if tot.UnchangedByte != chunk || tot.PublishedBytes != 2*chunk {
		t.Errorf("%d bytes are unchanged and %d published, want the first chunk and the two others", tot.UnchangedByte, tot.PublishedBytes)
	}
	var gone []string
	if err := prior.Gone(func(_ messages.Tree, path string) error { gone = append(gone, path); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gone, []string{"only-a"}) {
		t.Errorf("%v is to be removed, want what a target has and the source does not", gone)
	}
}
