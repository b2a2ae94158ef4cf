package dropin

import (
	"context"
	"time"
)

// settleTime bounds how long the target may take to write what came before the source failed.
const settleTime = 10 * time.Second

// settle waits until the target has written what is in memory beside the embedded server: it would be lost with this process, and read and sent again.
func (r *backup) settle(ctx context.Context) {
	if r.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for ctx.Err() == nil {
		lag, err := r.client.TargetLag(ctx, r.id, targetName)
		if err != nil || lag.Pending == 0 && lag.AckPending == 0 {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
