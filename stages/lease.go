package stages

import (
	"context"
	"time"

	"polarcast/pipeline"
)

// LeaseTTL is how long a stage that leads may be silent before another one takes over. A NATS cluster that lost a server needs up to 9 seconds to
// choose new leaders for its streams (maxElectionTimeout, nats-server, server/raft.go), and nobody can write a lease meanwhile.
const LeaseTTL = 20 * time.Second

// pollHolder is how often a waiting process looks whether the one that leads is dead.
const pollHolder = 500 * time.Millisecond

// Lead waits until this process leads a role of the backup. It takes over from a process that is silent for LeaseTTL, and at once from one that
// ran on this machine and is not there any more. What the stage does with the lease's Context ends when another process leads, and events that it
// appends carry the lease's fence.
func Lead(ctx context.Context, env Env, role string) (*pipeline.Lease, error) {
	lctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go bury(lctx, env, role)
	return env.Client.Lease(ctx, env.Backup, role, env.Instance, LeaseTTL)
}

// bury ends the lease of a dead process, until ctx ends. Errors are left to the one that waits for the lease.
func bury(ctx context.Context, env Env, role string) {
	for {
		holder, rev, err := env.Client.LeaseHolder(ctx, env.Backup, role)
		if err == nil && holder != env.Instance && Dead(holder) {
			env.Logger.Info("taking over from a process that is dead", "stage", role, "process", holder)
			_ = env.Client.EndLease(ctx, env.Backup, role, rev)
		}
		select {
		case <-time.After(pollHolder):
		case <-ctx.Done():
			return
		}
	}
}
