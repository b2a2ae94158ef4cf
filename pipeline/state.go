package pipeline

import (
	"errors"
	"fmt"
	"time"

	"polarcast/messages"
)

// ErrCancelled and ErrFailed are what Terminal returns, with details.
var (
	ErrCancelled = errors.New("the backup was cancelled")
	ErrFailed    = errors.New("the backup failed")
)

// State is the fold of a backup's events. It is never changed after it was given out.
type State struct {
	Backup       string
	Seq          uint64 // position of the last event in the event stream, 0 when there is none
	Requested    *messages.Requested
	RequestedAt  time.Time
	Prepared     *messages.Prepared
	SlotIntended *messages.SlotIntended
	Slot         *messages.SlotReady
	SlotDropped  *messages.SlotDropped
	Sessions     []SessionState
	WALStarted   *messages.WALStarted
	WALCaptured  *messages.WALCaptured
	Targets      map[string]TargetState
	Completed    *messages.Completed
	Failed       *messages.Failed
	Cancelled    *messages.Cancelled
	Limits       map[string]int64  // bytes per second by target, "" is the source
	Fences       map[string]uint64 // the newest leader's that has written, by stage, and target where a stage has one leader for each
	UpdatedAt    time.Time
}

// SessionState is one session of a backup.
type SessionState struct {
	Started     messages.SessionStarted
	StartedAt   time.Time
	Lost        *messages.SessionLost
	ReadDone    *messages.ReadDone
	Stopped     *messages.SessionStopped
	Scanned     *messages.WALScanned // nil when nothing was looked through, as without --stitch
	SealedFiles int64
	SealedBytes int64
}

// TargetState is one target of a backup.
type TargetState struct {
	Joined     *messages.TargetJoined
	Opened     *messages.TargetOpened
	Surveyed   *messages.TargetSurveyed // of a delta backup
	Slot       *messages.TargetSlot
	Written    *messages.TargetWritten
	Configured *messages.NodeConfigured
	Failed     *messages.TargetFailed
	Dropped    *messages.TargetDropped
	Missing    []messages.ChunksMissing
}

// Session returns the last session, nil when there is none.
func (s State) Session() *SessionState {
	if len(s.Sessions) == 0 {
		return nil
	}
	c := s.Sessions[len(s.Sessions)-1]
	return &c
}

// Terminal returns why nothing more will happen in the backup, nil while it goes on or when it is complete.
func (s State) Terminal() error {
	switch {
	case s.Cancelled != nil:
		return fmt.Errorf("%w: %s", ErrCancelled, s.Cancelled.Reason)
	case s.Failed != nil:
		return fmt.Errorf("%w: %s", ErrFailed, s.Failed.Error)
	}
	return nil
}
