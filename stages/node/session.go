package node

import (
	"context"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
)

// begin tells the audit which session has to be complete.
func (a *audit) begin(st pipeline.State) {
	cur := st.Session().Started
	if cur.Session == a.session {
		return
	}
	a.session = cur.Session
	if cur.Session == 1 {
		return
	}
	// WAL before the session's start is not needed, and is removed in the end: what was lost of it does not come again.
	size := st.Prepared.WALSegmentSize
	first := postgres.LSN(cur.StartLSN)
	if cur.StitchedTo != 0 {
		return // the first session's start is that of the copy
	}
	first -= postgres.LSN(uint64(first) % uint64(size))
	for key, f := range a.open {
		if f.tree != messages.TreeWAL || f.path == "" {
			continue
		}
		_, seg, err := postgres.ParseSegmentName(strings.TrimSuffix(strings.TrimPrefix(f.path, "archive_status/"), ".done"), size)
		if err == nil && seg < first {
			delete(a.open, key)
		}
	}
}

// sealed reports whether all that the index ever had of the session is in it: there is no gap, and as many files are sealed as the reader of a stream
// says. (Ranges that several read may be sealed twice.)
func (s *Stage) sealed(ctx context.Context, a *audit, st pipeline.State) (bool, error) {
	cur := st.Session()
	n := cur.Started.Session
	if cur.Started.Source == "stream" && a.seals[n] < cur.SealedFiles {
		return false, nil
	}
	lost, err := s.cfg.Client.IndexLost(ctx, s.cfg.Backup, a.begins[n])
	return !lost, err
}
