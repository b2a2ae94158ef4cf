package source

import (
	"context"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// ControlTree is where pg_control is: PolarDB in shared-storage mode has it in the shared tree.
func ControlTree(p *messages.Prepared) messages.Tree {
	if p != nil && p.Polar != nil && p.Polar.SharedStorage {
		return messages.TreeShared
	}
	return messages.TreeLocal
}

// Control reads pg_control until its checksum fits: a server overwrites it in place.
func Control(ctx context.Context, r Reader, tree messages.Tree) (*postgres.Control, error) {
	return postgres.ReadControl(ctx, func(ctx context.Context) ([]byte, error) {
		h, err := r.Open(ctx, tree, ControlFile)
		if err != nil {
			return nil, err
		}
		defer h.Close()
		b := make([]byte, postgres.ControlFileSize)
		n, err := h.ReadAt(b, 0)
		if n > 0 {
			err = nil
		}
		return b[:n], err
	})
}
