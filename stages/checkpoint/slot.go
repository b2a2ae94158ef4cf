package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
)

// SQLSTATEs of slots (src/backend/utils/errcodes.txt).
const (
	stateExists  = "42710" // duplicate_object
	stateMissing = "42704" // undefined_object
	stateInUse   = "55006" // object_in_use
)

// createSlot makes the slot that was asked for. One that is there already is an error, unless this backup made it: then it is the backup's own, or the
// event log says that a process before this one was about to make it, and that process died before it could say that it had.
func (s *Stage) createSlot(ctx context.Context, conn *postgres.Conn, st pipeline.State) error {
	r := st.Requested
	before := st.SlotIntended != nil && st.SlotIntended.Slot == r.Slot
	if !r.OwnSlot && !before {
		if err := s.intend(ctx, r.Slot); err != nil {
			return err
		}
	}
	err := conn.CreatePhysicalSlot(ctx, r.Slot, false, true)
	if err != nil && postgres.SQLState(err) == stateExists {
		if r.OwnSlot || before {
			return nil
		}
		// Also when this run is being ended: the next one must not take another's slot for its own.
		return errors.Join(err, s.intend(context.WithoutCancel(ctx), ""))
	}
	if err == nil && s.cfg.OnSlot != nil {
		s.cfg.OnSlot(r.Slot, false)
	}
	return err
}

// intend notes which slot is about to be created.
func (s *Stage) intend(ctx context.Context, slot string) error {
	return s.cfg.AppendIf(ctx, stageName, messages.EventSlotIntended, messages.SlotIntended{Slot: slot}, func(st pipeline.State) error {
		if st.Prepared != nil {
			return errors.New("the backup was prepared by another process")
		}
		return st.Terminal()
	})
}

// DropOwnSlot drops the slot of a backup that has one of its own.
func DropOwnSlot(ctx context.Context, connect func(context.Context) (*postgres.Conn, error), r *messages.Requested) error {
	if r == nil || !r.OwnSlot || r.Slot == "" {
		return nil
	}
	return DropSlot(ctx, connect, r.Slot)
}

// MadeSlot is the name of the slot that the backup of a log has made for its user (--create-slot), or was about to make when it ended; else "".
func MadeSlot(st pipeline.State) string {
	if st.Requested == nil || st.Requested.OwnSlot || st.SlotIntended == nil {
		return ""
	}
	return st.SlotIntended.Slot
}

// DropSlot drops a slot. One that is gone is no error; one that is still in use is waited for, because the server may need a moment to notice that
// the wal stage has left, and a connection that is cut is made again.
func DropSlot(ctx context.Context, connect func(context.Context) (*postgres.Conn, error), slot string) error {
	for end := time.Now().Add(10 * time.Second); ; {
		err := dropSlot(ctx, connect, slot)
		state := postgres.SQLState(err)
		switch {
		case err == nil, state == stateMissing:
			return nil
		case time.Now().Before(end) && (state == stateInUse || postgres.IsConnectionLost(err) && !errors.Is(err, syscall.ECONNREFUSED)):
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		default:
			return fmt.Errorf("replication slot \"%s\" is left on the server, where it holds WAL back; drop it there: %w", slot, err)
		}
	}
}

func dropSlot(ctx context.Context, connect func(context.Context) (*postgres.Conn, error), slot string) error {
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.DropSlot(ctx, slot, false)
}

// dropOwnSlot ends the slot of a backup that is over, also when the stage is being stopped.
func (s *Stage) dropOwnSlot(ctx context.Context, r *messages.Requested) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := DropOwnSlot(ctx, s.cfg.Connect, r); err != nil {
		return err
	}
	_ = NoteSlotDropped(ctx, s.cfg.Env, stageName, r) // nothing but a warning of polarcast remove depends on it
	return nil
}

// NoteSlotDropped says in the log of a backup that was given up that its own slot is gone. A log that was removed meanwhile stays so.
func NoteSlotDropped(ctx context.Context, env stages.Env, stage string, r *messages.Requested) error {
	if r == nil || !r.OwnSlot {
		return nil
	}
	return env.AppendIf(ctx, stage, messages.EventSlotDropped, messages.SlotDropped{Slot: r.Slot}, func(st pipeline.State) error {
		if st.Requested == nil || st.Completed != nil || st.SlotDropped != nil {
			return pipeline.ErrSkip
		}
		return nil
	})
}
