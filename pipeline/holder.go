package pipeline

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// LeaseHolder returns which instance leads a role, "" for none, and the revision of its lease.
func (c *Client) LeaseHolder(ctx context.Context, backup, role string) (instance string, rev uint64, err error) {
	kv, err := c.leases(ctx)
	if err != nil {
		return "", 0, err
	}
	var e jetstream.KeyValueEntry
	err = c.tryFor(ctx, outage, func(ctx context.Context) (err error) {
		e, err = kv.Get(ctx, backup+"."+role)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, c.apiError("lease "+backup+"."+role, err)
	}
	return string(e.Value()), e.Revision(), nil
}

// EndLease ends a lease of which it is known that its holder is dead, so that another instance leads at once. It does nothing when the lease has
// another revision by now.
func (c *Client) EndLease(ctx context.Context, backup, role string, rev uint64) error {
	kv, err := c.leases(ctx)
	if err != nil {
		return err
	}
	err = c.tryFor(ctx, outage, func(ctx context.Context) error {
		_, err := kv.Update(ctx, backup+"."+role, nil, rev)
		return err
	})
	if err != nil && !isConflict(err) { // also when the answer to the first try was lost
		return c.apiError("lease "+backup+"."+role, err)
	}
	return nil
}
