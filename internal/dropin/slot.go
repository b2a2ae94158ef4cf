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
		// The original's words, which scripts look for.
		return fmt.Errorf("could not send replication command \"START_REPLICATION\": ERROR:  replication slot \"%s\" does not exist", q.Slot)
	}
	return nil
}
