package node

import (
	"context"
	"fmt"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/storage"
)

// NoteTouched puts into the index what the processes before this one had in memory when they died and may have written: without a receipt of it, and without the
// index naming it, a file that the source has not any more would stay in the target, and bytes that changed and changed back would be taken for those
// that an earlier session delivered. It returns the ranges: they have to come again.
func NoteTouched(ctx context.Context, c *pipeline.Client, backup, target string) ([]messages.MissingRange, error) {
	var ranges []messages.MissingRange
	var receipts []messages.Receipt
	err := c.Touched(ctx, backup, func(r *messages.Record) {
		t := r.Touched()
		receipts = append(receipts, t)
		if t.Length > 0 {
			ranges = append(ranges, messages.MissingRange{Tree: r.Tree, Path: r.Path, Offset: t.Offset, Length: t.Length})
		}
	})
	if err != nil {
		return nil, err
	}
	if err := storage.PublishReceipts(ctx, c.IndexPublisher(backup), target, receipts); err != nil {
		return nil, fmt.Errorf("could not note what the process before may have written: %w", err)
	}
	return ranges, nil
}
