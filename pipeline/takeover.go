package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TakeOver is called by the only process that can use a server, after the one before it was killed: leases of the dead are removed, and what
// they held is delivered again at once instead of after its time.
func (c *Client) TakeOver(ctx context.Context, id string) error {
	if err := c.removeLeases(ctx, id); err != nil {
		return err
	}
	st, err := c.Log(id).State(ctx)
	if err != nil {
		return err
	}
	for t := range st.Targets {
		cons, err := c.js.Consumer(ctx, chunkStream+id, consumerName(t))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue // a target that is complete, or was dropped
		}
		if err != nil {
			return fmt.Errorf("consumer of target %q of backup %q: %w", t, id, err)
		}
		info := cons.CachedInfo()
		if info.NumAckPending == 0 {
			continue
		}
		// A change of the time makes the server look at what is held (nats-server, consumer.updateConfig).
		cfg := info.Config
		for _, wait := range []time.Duration{10 * time.Millisecond, ackWait} {
			cfg.AckWait = wait
			if _, err := c.js.UpdateConsumer(ctx, chunkStream+id, cfg); err != nil {
				return fmt.Errorf("consumer of target %q of backup %q: %w", t, id, err)
			}
			if wait < ackWait {
				select {
				case <-time.After(300 * time.Millisecond):
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
	}
	return nil
}
