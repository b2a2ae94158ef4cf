package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
)

// goal is the position of the index up to which everything must be accounted for; 0 while it is not known.
func goal(st pipeline.State) uint64 {
	cur := stages.Stopped(st)
	if cur == nil {
		return 0
	}
	g := cur.ReadDone.IndexSeq
	if st.Requested.WALMethod == "stream" {
		if !stages.Captured(st) {
			return 0
		}
		g = max(g, st.WALCaptured.IndexSeq)
	}
	return max(g, 1)
}

// errNotYet says that a further session came up while the target was being proven.
var errNotYet = errors.New("a further session is needed")

// prove reads the index until the target is complete, and says so in the event log. What is certain to be lost is named there, and comes again
// with a further session.
func (s *Stage) prove(ctx context.Context) (pipeline.State, error) {
	a := newAudit()
	for next, read := uint64(1), (time.Time{}); ; {
		// What is there, then what comes, until the target is complete or it is certain that something was lost.
		st, drained, err := s.look(ctx)
		if err != nil {
			return st, err
		}
		g := goal(st)
		if g > 0 || time.Since(read) > readAhead {
			if next, err = s.cfg.Client.IndexOn(ctx, s.cfg.Backup, next, s.target(), a.message); err != nil {
				return st, err
			}
			read = time.Now()
		}
		switch {
		case g == 0:
			s.waitFor("the source to be read")
		case stages.NeedsRepair(st):
			s.waitFor("the source to be read again for what was lost")
		default:
			a.begin(st)
			whole := a.complete(g)
			if whole {
				if whole, err = s.sealed(ctx, a, st); err != nil {
					return st, err
				}
			}
			if strays := a.strays(); whole && len(strays) > 0 {
				if err := s.removeStrays(ctx, st, strays); err != nil {
					return st, err
				}
			}
			if whole {
				if st, err = s.written(ctx, st, a); !errors.Is(err, errNotYet) {
					return st, err
				}
			} else if drained {
				if err := s.lost(ctx, st, a, g); err != nil {
					return st, err
				}
			}
			s.waitFor("what was read to be written")
		}
		select {
		case <-time.After(pollIndex):
		case <-ctx.Done():
			return st, context.Cause(ctx)
		}
	}
}

// written says in the event log that the target is complete. Another target may have asked for a further session meanwhile: then this one is not
// done either, because that session is written over what it has.
func (s *Stage) written(ctx context.Context, st pipeline.State, a *audit) (pipeline.State, error) {
	n := st.Session().Started.Session
	err := s.cfg.AppendIf(ctx, stageName, messages.EventTargetWritten, messages.TargetWritten{Target: s.target(), Session: n,
		Files: a.files, Bytes: a.bytes, WrittenBytes: a.changed, UnchangedBytes: a.same}, func(st pipeline.State) error {
		switch {
		case st.Targets[s.target()].Written != nil:
			return pipeline.ErrSkip
		case stages.NeedsRepair(st), st.Session().Started.Session != n:
			return errNotYet
		}
		return st.Terminal()
	})
	if err != nil {
		return st, err
	}
	return s.cfg.Log().State(ctx)
}

// pollIndex is how often the index is read on while the target is being written.
const pollIndex = 50 * time.Millisecond

// readAhead is how often it is read on while the source is being read: then only so that there is less to read in the end.
const readAhead = 500 * time.Millisecond

// look returns the state of the backup, and whether the target had nothing left to consume at a moment when all was read already.
func (s *Stage) look(ctx context.Context) (pipeline.State, bool, error) {
	st, err := s.cfg.Log().State(ctx)
	if err != nil {
		return st, false, err
	}
	if err := st.Terminal(); err != nil {
		return st, false, err
	}
	if t := st.Targets[s.target()]; t.Dropped != nil {
		return st, false, fmt.Errorf("target %q was dropped from backup %q: %s", s.target(), s.cfg.Backup, t.Dropped.Reason)
	}
	if goal(st) == 0 || stages.NeedsRepair(st) {
		return st, false, nil
	}
	lag, err := s.cfg.Client.TargetLag(ctx, s.cfg.Backup, s.target())
	if err != nil {
		return st, false, err
	}
	return st, lag.Pending == 0 && lag.AckPending == 0, nil
}

// maxNamed bounds the ranges that one event names.
const maxNamed = 1000

// lost names what the stream lost, so that a further session brings it. It is an error when there will be none.
func (s *Stage) lost(ctx context.Context, st pipeline.State, a *audit, g uint64) error {
	ranges, files := a.lost(maxNamed)
	gap := len(ranges) == 0 || a.seq < g // the end of the index is gone, or files are of which it knows nothing: a further session finds them by that
	if len(ranges) == maxNamed {
		ranges = append(ranges, messages.MissingRange{})
	}
	text := describe(ranges, files)
	if st.Completed != nil {
		return fmt.Errorf("target \"%s\" is not complete: %s; the backup was complete for its other targets, so nobody reads it again: take another one", s.target(), text)
	}
	n := st.Session().Started.Session
	err := s.cfg.AppendIf(ctx, stageName, messages.EventChunksMissing, messages.ChunksMissing{Target: s.target(), Session: n, Ranges: ranges, IndexLost: gap},
		func(st pipeline.State) error {
			if stages.NeedsRepair(st) && st.Targets[s.target()].Missing != nil || st.Session().Started.Session != n {
				return pipeline.ErrSkip
			}
			return st.Terminal()
		})
	if err == nil {
		s.cfg.Logger.Warn("target \"" + s.target() + "\" is not complete: " + text + "; the source is asked for them again")
	}
	return err
}

// describe names the first of what is missing.
func describe(ranges []messages.MissingRange, files int) string {
	if len(ranges) == 0 {
		return "the index of the backup has lost messages, and with them what it says of some files"
	}
	r := ranges[0]
	return fmt.Sprintf("%d files have parts that were lost between source and target, the first is \"%s\" at byte %d (%d bytes)", files, r.Path, r.Offset, r.Length)
}
