package dropin

import (
	"context"
	"fmt"
	"time"

	"polarcast/internal/postgres"
	"polarcast/pipeline"
	"polarcast/stages/checkpoint"
)

// checkSlot fails when the slot that was named is not there, before anything is written: the WAL receiver would find out after the first files.
// Servers before 15 cannot be asked by the replication protocol.
func (r *backup) checkSlot(ctx context.Context, conn *postgres.Conn) error {
	q := &r.o.Request
	if q.Slot == "" || q.CreateSlot || q.WALMethod != "stream" || !postgres.HasReadSlot(conn.ServerVersion()) {
		return nil
	}
	slot, err := conn.ReadSlot(ctx, q.Slot)
	if err != nil {
		return err
	}
	if !slot.Exists {
		// The original's words, which scripts look for.
		return fmt.Errorf("could not send replication command \"START_REPLICATION\": ERROR:  replication slot \"%s\" does not exist", q.Slot)
	}
	return nil
}

// dropTime bounds what dropping a slot may take when a run is over.
const dropTime = 20 * time.Second

// dropSlot drops the slot that --create-slot made, when what the backup created is removed: the same command would find it in its way, and it holds
// WAL back that nobody is going to ask for.
func (r *backup) dropSlot(st pipeline.State) error {
	slot := checkpoint.MadeSlot(st)
	if slot == "" {
		return nil
	}
	r.o.UI.Info("dropping replication slot \"%s\"", slot)
	ctx, cancel := context.WithTimeout(context.Background(), dropTime)
	defer cancel()
	return checkpoint.DropSlot(ctx, r.o.Connect, slot)
}
