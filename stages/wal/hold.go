package wal

import (
	"sync/atomic"

	"polarcast/internal/postgres"
	"polarcast/pipeline"
	"polarcast/stages"
)

// hold is what the slot must keep beyond what is durable in JetStream. With --stitch a further session looks through the WAL since the first one began, on the
// server: what the checkpoint stage has not looked through is kept, and a segment before that, by which it is known that the server is the same.
type hold struct {
	stitch bool
	limit  atomic.Uint64 // an LSN from which on WAL is kept
	told   postgres.LSN  // the furthest that a server was told
	known  bool          // to the server of this connection: a crash may have lost it
}

// unlimited says that nothing is looked through.
const unlimited = ^uint64(0)

// look takes the limit from the event log.
func (h *hold) look(st pipeline.State) {
	if h.stitch {
		h.limit.Store(limit(st))
	}
}

func limit(st pipeline.State) uint64 {
	base := stages.Stitched(st)
	switch {
	case base == nil:
		return 0
	case st.WALCaptured != nil:
		return uint64(base.Started.Redo) // lost parts are read again, and this session's WAL is captured anew by whoever goes on
	case st.Prepared.InRecovery || !stages.Stitchable(base.Started):
		return unlimited
	case base.Scanned == nil:
		return uint64(base.Started.Redo)
	case base.Scanned.Reason != "":
		return unlimited
	}
	return uint64(base.Scanned.Last)
}

// from is where the slot's WAL has to begin. It never goes back: a slot would follow, although what it let go of may be gone.
func (h *hold) from(w *writer) postgres.LSN {
	need := min(max(w.durable(), w.base), postgres.LSN(h.limit.Load()))
	if need == 0 {
		return 0
	}
	keep := (need - 1).SegmentStart(w.size)
	if keep >= postgres.LSN(w.size) {
		keep -= postgres.LSN(w.size)
	}
	if !w.resumed {
		keep = max(keep, w.base) // a slot that was made without reserving WAL holds some from its first use on only
	}
	return max(keep, h.told)
}

// status tells the server how far the WAL was received, and what the slot may let go of.
func (s *Stage) status(ws *postgres.WALStream) error {
	h, w := &s.hold, s.w
	if !h.stitch {
		return ws.SendStatus(w.pos, w.durable(), 0, false)
	}
	if from := h.from(w); from > h.told || !h.known {
		h.told, h.known = from, true
		if err := ws.SendStatus(w.pos, from, 0, false); err != nil {
			return err
		}
	}
	// 0 says that nothing is known: a server that shuts down would else wait until that position is its last (WalSndDone, walsender.c). All that was written is
	// durable when it asks.
	return ws.SendStatus(w.pos, 0, 0, false)
}
