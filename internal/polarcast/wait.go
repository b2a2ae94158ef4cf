package polarcast

import (
	"context"
	"errors"
	"time"

	"polarcast/pipeline"
	"polarcast/stages"
)

// pollBackup is how often a process that was started first looks whether the backup is there.
const pollBackup = 300 * time.Millisecond

// waitForBackup returns when the backup was requested. It says once what it waits for.
func waitForBackup(ctx context.Context, env stages.Env) error {
	for said := false; ; {
		st, err := env.Log().State(ctx)
		if err != nil {
			return err
		}
		if st.Requested != nil {
			return nil
		}
		if !said {
			env.Logger.Warn("waiting for backup \"" + env.Backup + "\": nobody has started \"polarcast send --backup " + env.Backup + "\" yet")
			said = true
		}
		select {
		case <-time.After(pollBackup):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// again runs fn, and once more each time that a lease ran out because NATS could not be reached.
func again(ctx context.Context, env stages.Env, fn func(context.Context) error) error {
	for {
		err := fn(ctx)
		if !errors.Is(err, pipeline.ErrSilent) || ctx.Err() != nil {
			return err
		}
		env.Logger.Warn("waiting for NATS, then going on: " + err.Error())
		for !env.Client.Connected() {
			select {
			case <-time.After(pollBackup):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}
