package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// LeaseHolder returns which instance leads a role, "" for none, and the revision of its lease.
func (c *Client) LeaseHolder(ctx context.Context, backup, role string) (instance string, rev uint64, err error) {
	kv, err := c.leases(ctx)
	if err != nil {
		return "", 0, err
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	e, err := kv.Get(rctx, backup+"."+role)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("lease %s.%s at %s: %w", backup, role, c.where, cause(rctx, err))
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
	rctx, cancel := c.request(ctx)
	defer cancel()
	if _, err := kv.Update(rctx, backup+"."+role, nil, rev); err != nil && !isConflict(err) {
		return fmt.Errorf("lease %s.%s at %s: %w", backup, role, c.where, cause(rctx, err))
	}
	return nil
}
