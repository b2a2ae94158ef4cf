package stages

import (
	"context"
	"errors"

	"polarcast/pipeline"
)

// MaxRepairs is how often a source is read again because JetStream lost parts of what it held. A store that loses more is broken.
const MaxRepairs = 3

// ErrLost says that JetStream lost parts of a backup again and again.
var ErrLost = errors.New("JetStream has lost parts of the backup")

// NeedsRepair reports whether the last session was read completely and a target has found parts of it missing, so that a further session has to
// bring them.
func NeedsRepair(st pipeline.State) bool {
	cur := st.Session()
	if cur == nil || cur.ReadDone == nil || st.Completed != nil {
		return false
	}
	for _, t := range st.Targets {
		if t.Written != nil || t.Dropped != nil || t.Failed != nil {
			continue
		}
		for _, m := range t.Missing {
			if m.Session == cur.Started.Session {
				return true
			}
		}
	}
	return false
}

// ReleaseWritten gives up the consumers of targets that were proven complete, before a further session is sent for others: nobody takes chunks for
// them any more, and they would hold the stream up.
func (e Env) ReleaseWritten(ctx context.Context, st pipeline.State) error {
	for name, t := range st.Targets {
		if t.Written != nil {
			if err := e.Client.RemoveTarget(ctx, e.Backup, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Repairs counts the sessions of which parts were lost.
func Repairs(st pipeline.State) int {
	lost := map[uint32]bool{}
	for _, t := range st.Targets {
		for _, m := range t.Missing {
			lost[m.Session] = true
		}
	}
	return len(lost)
}

// ReadingOver reports whether the source is not needed any more: it was read, and every target that is served was proven complete.
func ReadingOver(st pipeline.State) bool {
	if st.Completed != nil {
		return true
	}
	cur := st.Session()
	if cur == nil || cur.ReadDone == nil {
		return false
	}
	for _, t := range st.Targets {
		if t.Written == nil && t.Dropped == nil && t.Failed == nil {
			return false
		}
	}
	return true
}
