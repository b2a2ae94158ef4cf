package pipeline

import (
	"context"
	"time"
)

// Kept returns how long the chunks of a complete backup are kept for targets that join late (KeepFor), 0 when that was not asked for yet.
func (c *Client) Kept(ctx context.Context, id string) (time.Duration, error) {
	info, err := c.info(ctx, chunkStream+id)
	if err != nil {
		return 0, c.streamError(chunkStream+id, err)
	}
	return info.Config.MaxAge, nil
}

// Connected reports whether there is a connection to a NATS server at this moment. A lost one is made again by itself.
func (c *Client) Connected() bool { return c.nc.IsConnected() }
