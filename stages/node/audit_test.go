package node

import (
	"testing"

	"polarcast/messages"
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
