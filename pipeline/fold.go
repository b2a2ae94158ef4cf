package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"polarcast/messages"
)

// ErrSkip is returned by a check of AppendIf to leave the event out: what it says is known already. AppendIf then returns nil.
var ErrSkip = errors.New("nothing to add")

// Fold returns the state after an event at a position of the event stream. It changes nothing that it is given. Types that this version does
// not know are passed over: they cannot be about anything that it does. Refused is only what would let a damaged copy pass for a good one:
// facts about a session that never began, a session that begins twice, the end of a reading that was lost, completion of a backup that was
// given up, and the word of a leader that was replaced.
func Fold(s State, seq uint64, ev messages.Event) (State, error) {
	before := s
	if s.Targets == nil {
		s.Targets = map[string]TargetState{}
	}
	s.Backup, s.Seq, s.UpdatedAt = ev.Backup, seq, ev.Time
	if err := s.foldFence(ev); err != nil {
		return before, err
	}
	var err error
	switch ev.Type {
	case messages.EventRequested:
		s.Requested, err = decode[messages.Requested](ev)
		s.RequestedAt = ev.Time
		if err == nil {
			s.Targets = maps.Clone(s.Targets)
			for _, t := range s.Requested.Targets {
				if _, ok := s.Targets[t]; !ok {
					s.Targets[t] = TargetState{}
				}
			}
		}
	case messages.EventPrepared:
		s.Prepared, err = decode[messages.Prepared](ev)
	case messages.EventSlotIntended:
		s.SlotIntended, err = decode[messages.SlotIntended](ev)
	case messages.EventSlotReady:
		s.Slot, err = decode[messages.SlotReady](ev)
	case messages.EventSlotDropped:
		s.SlotDropped, err = decode[messages.SlotDropped](ev)
	case messages.EventSessionStarted, messages.EventSessionLost, messages.EventFilesSealed, messages.EventReadDone, messages.EventSessionStopped,
		messages.EventWALScanned:
		err = s.foldSession(ev)
	case messages.EventWALStarted:
		s.WALStarted, err = decode[messages.WALStarted](ev)
	case messages.EventWALCaptured:
		s.WALCaptured, err = decode[messages.WALCaptured](ev)
	case messages.EventTargetJoined, messages.EventTargetOpened, messages.EventTargetSurveyed, messages.EventTargetSlot, messages.EventTargetWritten, messages.EventChunksMissing, messages.EventNodeConfigured,
		messages.EventTargetFailed, messages.EventTargetDropped:
		err = s.foldTarget(ev)
	case messages.EventCompleted:
		if err = s.Terminal(); err != nil {
			err = fmt.Errorf("event %d completes backup %q, which was given up: %w", s.Seq, s.Backup, err)
			break
		}
		s.Completed, err = decode[messages.Completed](ev)
	case messages.EventFailed:
		s.Failed, err = decode[messages.Failed](ev)
	case messages.EventCancelled:
		s.Cancelled, err = decode[messages.Cancelled](ev)
	case messages.EventLimitChanged:
		var l *messages.LimitChanged
		if l, err = decode[messages.LimitChanged](ev); err == nil {
			s.Limits = maps.Clone(s.Limits)
			if s.Limits == nil {
				s.Limits = map[string]int64{}
			}
			s.Limits[l.Target] = l.BytesPerSecond
		}
	}
	if err != nil {
		return before, err
	}
	return s, nil
}

// foldFence refuses the word of a leader that was replaced.
func (s *State) foldFence(ev messages.Event) error {
	if ev.Fence == 0 {
		return nil
	}
	var n struct {
		Target string `json:"target"`
	}
	if len(ev.Data) > 0 {
		if err := ev.Decode(&n); err != nil {
			return err
		}
	}
	key := ev.Stage
	if n.Target != "" {
		key += "/" + n.Target
	}
	if s.Fences[key] > ev.Fence {
		return fmt.Errorf("event %q of stage %s (%s): %w", ev.Type, key, ev.Instance, ErrFenced)
	}
	s.Fences = maps.Clone(s.Fences)
	if s.Fences == nil {
		s.Fences = map[string]uint64{}
	}
	s.Fences[key] = ev.Fence
	return nil
}

func decode[T any](ev messages.Event) (*T, error) {
	v := new(T)
	return v, ev.Decode(v)
}

func (s *State) foldSession(ev messages.Event) error {
	s.Sessions = slices.Clone(s.Sessions)
	if ev.Type == messages.EventSessionStarted {
		v, err := decode[messages.SessionStarted](ev)
		if err != nil {
			return err
		}
		if n := len(s.Sessions); n > 0 && v.Session <= s.Sessions[n-1].Started.Session {
			return fmt.Errorf("event %d of backup %q starts session %d a second time: the log is damaged", s.Seq, s.Backup, v.Session)
		}
		s.Sessions = append(s.Sessions, SessionState{Started: *v, StartedAt: ev.Time})
		return nil
	}
	var n struct {
		Session uint32 `json:"session"`
	}
	if err := ev.Decode(&n); err != nil {
		return err
	}
	for i := range s.Sessions {
		c := &s.Sessions[i]
		if c.Started.Session != n.Session {
			continue
		}
		var err error
		switch ev.Type {
		case messages.EventSessionLost:
			c.Lost, err = decode[messages.SessionLost](ev)
		case messages.EventReadDone:
			if c.Lost != nil {
				return fmt.Errorf("event %d of backup %q says that session %d was read to its end, but it was lost: the log is damaged", s.Seq, s.Backup, n.Session)
			}
			c.ReadDone, err = decode[messages.ReadDone](ev)
		case messages.EventSessionStopped:
			c.Stopped, err = decode[messages.SessionStopped](ev)
		case messages.EventWALScanned:
			c.Scanned, err = decode[messages.WALScanned](ev)
		case messages.EventFilesSealed:
			var v *messages.FilesSealed
			if v, err = decode[messages.FilesSealed](ev); err == nil {
				c.SealedFiles += v.Count
				c.SealedBytes += v.Bytes
			}
		}
		return err
	}
	return fmt.Errorf("event %d of backup %q (%s) is about session %d, which was never started: the log is damaged", s.Seq, s.Backup, ev.Type, n.Session)
}

func (s *State) foldTarget(ev messages.Event) error {
	var n struct {
		Target string `json:"target"`
	}
	if err := ev.Decode(&n); err != nil {
		return err
	}
	s.Targets = maps.Clone(s.Targets)
	t := s.Targets[n.Target]
	var err error
	switch ev.Type {
	case messages.EventTargetJoined:
		t.Joined, err = decode[messages.TargetJoined](ev)
		t.Dropped = nil
	case messages.EventTargetOpened:
		var v *messages.TargetOpened
		if v, err = decode[messages.TargetOpened](ev); err == nil && t.Opened != nil {
			v.Created = append(slices.Clone(t.Opened.Created), v.Created...)
			v.Emptied = append(slices.Clone(t.Opened.Emptied), v.Emptied...)
			v.Kept = append(slices.Clone(t.Opened.Kept), v.Kept...)
		}
		t.Opened = v
	case messages.EventTargetSurveyed:
		t.Surveyed, err = decode[messages.TargetSurveyed](ev)
	case messages.EventTargetSlot:
		t.Slot, err = decode[messages.TargetSlot](ev)
	case messages.EventTargetWritten:
		t.Written, err = decode[messages.TargetWritten](ev)
	case messages.EventNodeConfigured:
		t.Configured, err = decode[messages.NodeConfigured](ev)
	case messages.EventTargetFailed:
		t.Failed, err = decode[messages.TargetFailed](ev)
	case messages.EventTargetDropped:
		t.Dropped, err = decode[messages.TargetDropped](ev)
	case messages.EventChunksMissing:
		var v *messages.ChunksMissing
		if v, err = decode[messages.ChunksMissing](ev); err == nil {
			t.Missing = append(slices.Clone(t.Missing), *v)
		}
	}
	s.Targets[n.Target] = t
	return err
}
