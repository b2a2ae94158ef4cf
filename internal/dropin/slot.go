package dropin

import (
	"context"
	"fmt"

	"polarcast/internal/postgres"
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
		return fmt.Errorf("replication slot \"%s\" does not exist: create it first, or add --create-slot", q.Slot)
	}
	return nil
}
