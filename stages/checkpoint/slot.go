package checkpoint

import (
	"context"
	"fmt"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// SQLSTATEs of slots (src/backend/utils/errcodes.txt).
const (
	stateExists  = "42710" // duplicate_object
	stateMissing = "42704" // undefined_object
	stateInUse   = "55006" // object_in_use
)

// createSlot makes the slot that was asked for. One that is there already is an error, unless it is the backup's own: then a process before this
// one made it.
func (s *Stage) createSlot(ctx context.Context, conn *postgres.Conn, r *messages.Requested) error {
	err := conn.CreatePhysicalSlot(ctx, r.Slot, false, true)
	if err != nil && r.OwnSlot && postgres.SQLState(err) == stateExists {
		return nil
	}
	if err == nil && s.cfg.OnSlot != nil {
		s.cfg.OnSlot(r.Slot, false)
	}
	return err
}

// DropOwnSlot drops the slot of a backup that has one of its own. A slot that is gone is no error; one that is still in use is waited for, because
// the server may need a moment to notice that the wal stage has left.
func DropOwnSlot(ctx context.Context, connect func(context.Context) (*postgres.Conn, error), r *messages.Requested) error {
	if r == nil || !r.OwnSlot || r.Slot == "" {
		return nil
	}
	conn, err := connect(ctx)
	if err != nil {
		return fmt.Errorf("replication slot \"%s\" is left on the server: %w", r.Slot, err)
	}
	defer conn.Close()
	for end := time.Now().Add(10 * time.Second); ; {
		err = conn.DropSlot(ctx, r.Slot, false)
		switch postgres.SQLState(err) {
		case stateMissing:
			return nil
		case stateInUse:
			if time.Now().Before(end) {
				select {
				case <-time.After(100 * time.Millisecond):
					continue
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
		if err != nil {
			return fmt.Errorf("replication slot \"%s\" is left on the server, where it holds WAL back; drop it there: %w", r.Slot, err)
		}
		return nil
	}
}

// dropOwnSlot ends the slot of a backup that is over, also when the stage is being stopped.
func (s *Stage) dropOwnSlot(ctx context.Context, r *messages.Requested) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return DropOwnSlot(ctx, s.cfg.Connect, r)
}
