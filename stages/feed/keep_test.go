package feed_test

import (
	"bytes"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
)

// TestKept keeps what sessions delivered, or found delivered, from the one on that is gone on with: what only an earlier one delivered is older than the
// WAL of the backup. What a target lost is not kept.
func TestKept(t *testing.T) {
	c, backup := startClient(t)
	const chunk, path = messages.ChunkSize, "base/5/16384"
	raw := [][]byte{bytes.Repeat([]byte("zero"), chunk/4), bytes.Repeat([]byte("one."), chunk/4), bytes.Repeat([]byte("two."), chunk/8)}
	meta := messages.Record{Path: path, Mode: 0o600}
	const size = 2*chunk + chunk/2
	prior := func(session uint32, missing ...messages.ChunksMissing) *feed.Prior {
		t.Helper()
		p, err := feed.LoadPrior(t.Context(), c, backup, session, missing, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	open := func(session uint32, p *feed.Prior) *feed.Feed {
		t.Helper()
		f, err := feed.New(t.Context(), feed.Config{Client: c, Backup: backup, Session: session, Subject: pipeline.SubjectData, Workers: 1, Prior: p})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	send := func(session uint32, p *feed.Prior, chunks ...int) {
		t.Helper()
		f := open(session, p)
		for _, i := range chunks {
			from := int64(i) * chunk
			for _, err := range []error{f.StartRange(meta, size, from, from+int64(len(raw[i]))), f.Write(raw[i]), f.EndRange()} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	has := func(f *feed.Feed, since uint32) (out []int) {
		t.Helper()
		k, err := f.Kept(messages.TreeLocal, path, since)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			if k.Has(int64(i)*chunk, len(raw[i])) {
				out = append(out, i)
			}
		}
		if k.Any() != (len(out) > 0) {
			t.Errorf("any: %v, kept: %v", k.Any(), out)
		}
		return out
	}
	check := func(what string, got []int, want ...int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: chunks %v are kept, want %v", what, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%s: chunks %v are kept, want %v", what, got, want)
			}
		}
	}
	send(1, nil, 0, 1)
	send(2, prior(2), 0, 2)
	third := open(3, prior(3))
	check("not stitched", has(third, 0))
	check("since the first", has(third, 1), 0, 1, 2)
	check("since the second", has(third, 2), 0, 2)
	lost := open(3, prior(3, messages.ChunksMissing{Session: 2, Ranges: []messages.MissingRange{{Path: path, Offset: chunk, Length: 1}}}))
	check("with a loss", has(lost, 1), 0, 2)
	lost.Abort(nil)
	send(3, nil, 1)
	again := open(4, prior(4, messages.ChunksMissing{Session: 2, Ranges: []messages.MissingRange{{Path: path, Offset: chunk, Length: 1}, {}}}))
	check("what was lost was sent again, and what more was lost was not", has(again, 1), 1)
	again.Abort(nil)

	k, err := third.Kept(messages.TreeLocal, path, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		if err := third.Keep(meta, k, int64(i)*chunk, len(raw[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := third.Seal(meta, size, size); err != nil {
		t.Fatal(err)
	}
	tot, err := third.Close()
	if err != nil || tot.KeptBytes != size || tot.ReadBytes != 0 || tot.PublishedBytes != 0 {
		t.Errorf("%+v, %v: want %d bytes kept, none read or published", tot, err, size)
	}
	fourth := open(4, prior(4))
	defer fourth.Abort(nil)
	check("since the third, which kept them", has(fourth, 3), 0, 1, 2)
}
