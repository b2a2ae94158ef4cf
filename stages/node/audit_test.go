package node

import (
	"slices"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
)

// TestReceiptBeforeTheIndexOfItsSession has a target that lost a seal of one session, and carried out that of the next before the index said so.
func TestReceiptBeforeTheIndexOfItsSession(t *testing.T) {
	key := messages.PathKey(messages.TreeLocal, "base/5/2328")
	seal := func(session uint32) *messages.Record {
		return &messages.Record{Kind: messages.KindSeal, Session: session, Path: "base/5/2328"}
	}
	a := newAudit()
	if err := a.record(seal(1)); err != nil {
		t.Fatal(err)
	}
	if ranges, files := a.lost(10); len(ranges) != 1 || files != 1 {
		t.Fatalf("lost: %v in %d files, want the seal", ranges, files)
	}
	a.receipt(&messages.Receipt{Session: 2, Kind: messages.ReceiptSealed, Key: key})
	if err := a.record(seal(2)); err != nil {
		t.Fatal(err)
	}
	if ranges, files := a.lost(10); files != 0 || !a.complete(0) {
		t.Errorf("lost: %v in %d files after both sessions", ranges, files)
	}
}

// TestASessionSpeaksOfAFileToItsEnd has a large file of which a later session brings a lost part again, while it says of the others that they are as
// before: the target has that part before the session has come to the end of the file.
func TestASessionSpeaksOfAFileToItsEnd(t *testing.T) {
	const path, size = "base/5/16396", 4 << 18
	key := messages.PathKey(messages.TreeLocal, path)
	a := newAudit()
	fold := func(b []byte) {
		t.Helper()
		if err := a.message(a.seq+1, pipeline.SubjectParts, b); err != nil {
			t.Fatal(err)
		}
	}
	part := func(session uint32, chunk int64, published bool) {
		t.Helper()
		fold(messages.AppendPart(nil, &messages.Record{Session: session, Path: path, Offset: chunk << 18}, []messages.PartChunk{{Len: 1 << 18, Published: published}}))
	}
	seal := func(session uint32) {
		t.Helper()
		fold(messages.AppendRecord(nil, &messages.Record{Kind: messages.KindSeal, Session: session, Path: path, Size: size, Offset: size}))
	}
	received := func(session uint32, kind messages.ReceiptKind, chunk int64) {
		r := messages.Receipt{Session: session, Kind: kind, Key: key}
		if kind == messages.ReceiptRange {
			r.Offset, r.Length = chunk<<18, 1<<18
		} else {
			r.Length = size
		}
		a.receipt(&r)
	}
	for i := range int64(4) {
		part(1, i, true)
		if i != 1 {
			received(1, messages.ReceiptRange, i)
		}
	}
	seal(1)
	received(1, messages.ReceiptSealed, 0)
	if ranges, _ := a.lost(10); len(ranges) != 1 || ranges[0].Offset != 1<<18 || ranges[0].Length != 1<<18 {
		t.Fatalf("lost: %+v, want the second chunk", ranges)
	}
	part(2, 0, false)
	part(2, 1, true)
	received(2, messages.ReceiptRange, 1)
	part(2, 2, false)
	part(2, 3, false)
	seal(2)
	if a.complete(0) {
		t.Error("complete before the seal of the last session was carried out")
	}
	received(2, messages.ReceiptSealed, 0)
	if ranges, files := a.lost(10); files != 0 || !a.complete(0) {
		t.Errorf("lost: %+v in %d files, though the second session brought it", ranges, files)
	}
}

// TestChunksThatTheIndexDoesNotName has receipts of a killed session 2 of which the index knows nothing.
func TestChunksThatTheIndexDoesNotName(t *testing.T) {
	const path = "base/5/16396"
	key, gone, wal := messages.PathKey(messages.TreeLocal, path), messages.PathKey(messages.TreeShared, "base/5/1"), messages.PathKey(messages.TreeWAL, "0001")
	had := messages.Receipt{Kind: messages.ReceiptRange, Offset: 4096, Length: 4096}
	for _, c := range []struct {
		name      string
		published bool // session 3 publishes the range again
		size      int64
		from, to  int64 // stale
		had       messages.Receipt
	}{
		{"as session 1 delivered it", false, 8192, 4096, 8192, had},
		{"published again", true, 8192, 0, 0, had},
		{"cut off", false, 4096, 0, 0, had},
		{"cut in the middle", false, 6000, 4096, 6000, had},
		{"lost with the process", false, 8192, 4096, 8192, (&messages.Record{Kind: messages.KindData, Offset: 4096, RawLen: 4096}).Touched()},
		{"sealed by a process that died", false, 8192, 5000, 8192, (&messages.Record{Kind: messages.KindSeal, Size: 5000}).Touched()},
		{"removed by a process that died", false, 8192, 0, 8192, (&messages.Record{Kind: messages.KindRemove}).Touched()},
		{"was shorter", false, 8192, 5000, 8192, messages.Receipt{Kind: messages.ReceiptSealed, Length: 5000}},
		{"was shorter, published again", true, 8192, 0, 0, messages.Receipt{Kind: messages.ReceiptSealed, Length: 5000}},
		{"was longer", false, 8192, 0, 0, messages.Receipt{Kind: messages.ReceiptSealed, Length: 9000}},
		{"was removed", false, 8192, 0, 8192, messages.Receipt{Kind: messages.ReceiptRemoved}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAudit()
			fold := func(session uint32, published bool, size int64) {
				t.Helper()
				b := messages.AppendPart(nil, &messages.Record{Session: session, Path: path}, []messages.PartChunk{{Len: 4096, Published: session == 1}})
				if size > 4096 {
					b = messages.AppendPart(b, &messages.Record{Session: session, Path: path, Offset: 4096},
						[]messages.PartChunk{{Len: uint32(size - 4096), Published: published}})
				}
				b = messages.AppendRecord(b, &messages.Record{Kind: messages.KindSeal, Session: session, Path: path, Size: size, Offset: size})
				if err := a.message(a.seq+1, pipeline.SubjectParts, b); err != nil {
					t.Fatal(err)
				}
			}
			receive := func(session uint32, key uint64, tree messages.Tree, from, to int64) {
				a.receipt(&messages.Receipt{Session: session, Kind: messages.ReceiptRange, Tree: tree, Key: key, Offset: from, Length: to - from})
			}
			receive(1, key, messages.TreeLocal, 0, 8192)
			fold(1, true, 8192)
			a.receipt(&messages.Receipt{Session: 1, Kind: messages.ReceiptSealed, Key: key, Length: 8192})
			c.had.Session, c.had.Key = 2, key
			a.receipt(&c.had)
			receive(2, gone, messages.TreeShared, 0, 4096)
			receive(2, wal, messages.TreeWAL, 0, 4096)
			fold(3, c.published, c.size)
			a.receipt(&messages.Receipt{Session: 3, Kind: messages.ReceiptSealed, Key: key, Length: c.size})
			if c.published {
				receive(3, key, messages.TreeLocal, 4096, c.size)
			}
			want := []messages.MissingRange(nil)
			if c.to > 0 {
				want = []messages.MissingRange{{Path: path, Offset: c.from, Length: c.to - c.from}}
			}
			if ranges, _ := a.lost(10); !slices.Equal(ranges, want) {
				t.Errorf("%+v have to come again, want %+v", ranges, want)
			}
			if a.complete(0) != (want == nil) {
				t.Errorf("complete: %v", a.complete(0))
			}
			if s := a.strays(); len(s) != 1 || !s[gone] {
				t.Errorf("strays: %v, want %x", s, gone)
			}
		})
	}
}
