package pipeline

import "context"

// TakeOver is called by the only process that can use a server, after the one before it was killed: leases of the dead are removed, and what
// they held is delivered again at once instead of after its time. Targets that are complete, or were dropped, have no consumer any more, and a backup
// that is over no streams: there is nothing to take over.
func (c *Client) TakeOver(ctx context.Context, id string) error {
	if err := c.removeLeases(ctx, id); err != nil {
		return err
	}
	st, err := c.Log(id).State(ctx)
	if err != nil {
		return err
	}
	for t := range st.Targets {
		if err := c.redeliver(ctx, chunkStream+id, consumerName(t)); err != nil {
			return err
		}
	}
	return c.redeliver(ctx, workStream+id, workConsumer)
}
