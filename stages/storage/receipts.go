package storage

import (
	"context"

	"polarcast/messages"
	"polarcast/pipeline"
)

// receiptsPerMessage keeps a receipts message (32 bytes each) well below the payload limit.
const receiptsPerMessage = 8192

// PublishReceipts puts receipts of a target into the index. It returns when JetStream holds them.
func PublishReceipts(ctx context.Context, index *pipeline.Publisher, target string, rs []messages.Receipt) error {
	for len(rs) > 0 {
		n := min(len(rs), receiptsPerMessage)
		if err := index.Publish(ctx, pipeline.SubjectReceipts(target), messages.AppendReceipts(index.Buffer(), rs[:n]), nil); err != nil {
			return err
		}
		rs = rs[n:]
	}
	return index.Flush(ctx)
}
