package node

import (
	"context"
	"math"

	"polarcast/messages"
	"polarcast/pipeline"
)

// Lost returns what the index of a backup says was published and a target has no receipt for. It is what has to come again when the bytes were
// in the memory of a process that died.
func Lost(ctx context.Context, c *pipeline.Client, backup, target string) ([]messages.MissingRange, error) {
	a := newAudit()
	if err := c.Index(ctx, backup, 0, false, []string{target}, a.message); err != nil {
		return nil, err
	}
	ranges, _ := a.lost(math.MaxInt)
	return ranges, nil
}
