package node

import (
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
