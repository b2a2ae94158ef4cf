package storage

import (
	"polarcast/messages"
	"polarcast/pipeline"
)

// fence is where a session began: everything of earlier sessions is before or at seq in the chunk stream, but for what comes too late.
type fence struct {
	session uint32
	seq     uint64
}

// learn notes where the sessions of the event log began.
func (l *loop) learn(st pipeline.State) {
	l.fences = l.fences[:0]
	for _, s := range st.Sessions {
		if s.Started.ChunkSeq > 0 {
			l.fences = append(l.fences, fence{s.Started.Session, s.Started.ChunkSeq})
		}
	}
}

// late reports whether a record is of a session that was over when it was published: a reader was stopped for so long that another session began
// meanwhile, which has found the target to hold something else. WAL belongs to no session.
func (l *loop) late(r *messages.Record, seq uint64) bool {
	if r.Tree == messages.TreeWAL {
		return false
	}
	if r.Session < l.session {
		return true
	}
	for _, f := range l.fences {
		if r.Session < f.session && seq > f.seq {
			return true
		}
	}
	return false
}
