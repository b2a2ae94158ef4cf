package polarcast

import (
	"context"
	"errors"
	"fmt"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
)

const duplicateObject = "42710" // SQLSTATE of a slot that exists (src/backend/utils/errcodes.txt)

// createSlot makes the slot that the node of this target will use, once: it holds WAL from before the end of the backup on. The event log tells a slot
// that an interrupted run of this target has made, which is used, from one that was there before, which is refused as pg_basebackup does.
func (r *Receiver) createSlot(ctx context.Context) error {
	if r.CreateSlot == nil {
		return nil
	}
	st, err := r.env.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Prepared != nil, st.Terminal() })
	if err != nil {
		return err
	}
	slot := r.Settings.Slot
	if s := st.Targets[r.Target.Name].Slot; s != nil && s.Slot == slot && s.Created {
		return nil // also when the server is away: what is left to do may not need it
	}
	if err := r.Settings.Check(st.Prepared); err != nil { // a node that cannot be made leaves no slot
		return err
	}
	conn, err := r.CreateSlot(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	sys, err := conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	if sys.ID != st.Prepared.SystemID {
		return fmt.Errorf("replication slot \"%s\" was not created: the server of the connection options has system identifier %s, but backup \"%s\" is of %s",
			slot, sys.ID, r.Backup, st.Prepared.SystemID)
	}
	return r.createSlotOn(ctx, conn, slot)
}

func (r *Receiver) createSlotOn(ctx context.Context, conn *postgres.Conn, slot string) error {
	// One process at a time: another one of this target must not take the slot that this one is about to create for somebody else's.
	lease, err := stages.Lead(ctx, r.env, "slot_"+r.Target.Name)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.Context(ctx)
	defer cancel()
	if st, err := r.env.Log().State(ctx); err != nil {
		return err
	} else if s := st.Targets[r.Target.Name].Slot; s != nil && s.Slot == slot && s.Created {
		return nil
	}
	before := false
	err = r.noteSlot(ctx, messages.TargetSlot{Slot: slot}, func(st pipeline.State) error {
		if s := st.Targets[r.Target.Name].Slot; s != nil && s.Slot == slot {
			before = true
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
	if err != nil {
		return err
	}
	err = conn.CreatePhysicalSlot(ctx, slot, false, true)
	exists := postgres.SQLState(err) == duplicateObject
	switch {
	case exists && !before:
		err = fmt.Errorf("%w; target \"%s\" has not created it: leave out -C to use it, or give another name with -S", err, r.Target.Name)
		// Also when this run is being ended: the next one must not take another's slot for its own.
		return errors.Join(err, r.noteSlot(context.WithoutCancel(ctx), messages.TargetSlot{}, pipeline.State.Terminal))
	case err != nil && !exists:
		return err
	case err == nil:
		r.Logger.Info("created replication slot \"" + slot + "\"")
	}
	if err := r.noteSlot(ctx, messages.TargetSlot{Slot: slot, Created: true}, pipeline.State.Terminal); err != nil {
		return err
	}
	r.missWAL(ctx, conn, slot)
	return nil
}

// walLook is how long the server may take to begin to send WAL, or to say that it has none.
const walLook = 10 * time.Second

// missWAL warns when the slot of a target that joined late holds WAL from later on than the backup ends, and the server has removed what is between: the node
// will not be able to stream. It may have an archive, so this is no error.
func (r *Receiver) missWAL(ctx context.Context, conn *postgres.Conn, slot string) {
	st, err := r.env.Log().State(ctx)
	if err != nil || !stages.Captured(st) {
		return // the slot is older than the end of the backup
	}
	end, size := postgres.LSN(st.WALCaptured.EndLSN), st.Prepared.WALSegmentSize
	if end%postgres.LSN(size) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, walLook)
	defer cancel()
	s, err := conn.StartReplication(ctx, "", end-end%postgres.LSN(size), st.WALCaptured.Timeline)
	if err == nil {
		_, err = s.Receive(time.Now().Add(walLook))
	}
	if postgres.IsWALRemoved(err) {
		r.Logger.Warn(fmt.Sprintf("the backup ends at %s, and the server has removed the WAL from there to where replication slot \"%s\" begins: the node can only follow it with restore_command, or after a new backup (%v)",
			end, slot, err))
	}
}

// noteSlot notes in the event log what is so of this target's slot.
func (r *Receiver) noteSlot(ctx context.Context, s messages.TargetSlot, check func(pipeline.State) error) error {
	s.Target = r.Target.Name
	return r.env.AppendIf(ctx, "receive", messages.EventTargetSlot, s, check)
}

// UnusedSlots are the slots that targets of a backup have created, or were about to, and that no node of theirs uses. They are the user's, who named them.
func UnusedSlots(st pipeline.State) []messages.TargetSlot {
	var all []messages.TargetSlot
	for _, name := range targetNames(st) {
		if t := st.Targets[name]; t.Configured == nil && t.Slot != nil && t.Slot.Slot != "" {
			all = append(all, *t.Slot)
		}
	}
	return all
}
