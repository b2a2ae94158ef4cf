package polarcast

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/checkpoint"
)

// Connector opens a replication connection; nil where no connection options were given.
type Connector func(ctx context.Context) (*postgres.Conn, error)

// Cancel ends a backup. All its processes end with an error; its streams are removed, its log stays. The slot that was made for it is dropped
// when connect is given, or else by the checkpoint stage, when that runs. slot is the name of a slot that may be left on the server. Slots that
// targets have created for their nodes stay: UnusedSlots.
func Cancel(ctx context.Context, c *pipeline.Client, backup, reason string, connect Connector) (slot string, err error) {
	st, err := Known(ctx, c, backup)
	if err != nil {
		return "", err
	}
	if st.Completed != nil {
		return "", fmt.Errorf("backup \"%s\" is complete; there is nothing to cancel (\"polarcast remove %s\" forgets it)", backup, backup)
	}
	env := stages.Env{Client: c, Backup: backup}.WithDefaults()
	if reason == "" {
		reason = "by command"
	}
	err = env.AppendIf(ctx, "cancel", messages.EventCancelled, messages.Cancelled{By: whoami(), Reason: reason}, func(st pipeline.State) error {
		if st.Completed != nil {
			return fmt.Errorf("backup \"%s\" is complete; there is nothing to cancel", backup)
		}
		if st.Terminal() != nil {
			return pipeline.ErrSkip
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := c.DropStreams(ctx, backup); err != nil {
		return "", err
	}
	return dropSlot(ctx, env, st, connect)
}

// ErrRunning refuses to remove a backup that is on its way.
var ErrRunning = errors.New("the backup is on its way")

// Remove removes everything that NATS holds of a backup, and its own slot when connect is given. A backup that is on its way must be cancelled
// first, unless force is set. slot is as with Cancel.
func Remove(ctx context.Context, c *pipeline.Client, backup string, force bool, connect Connector) (slot string, err error) {
	st, err := Known(ctx, c, backup)
	if errors.Is(err, ErrLogLost) {
		return removeLost(ctx, c, backup, connect)
	}
	if err != nil {
		return "", err
	}
	running := st.Completed == nil && st.Terminal() == nil
	if running && !force {
		return "", fmt.Errorf("%w: cancel \"%s\" first, or add --force", ErrRunning, backup)
	}
	if running { // its processes must not go on with a backup that is not there
		if slot, err = Cancel(ctx, c, backup, "it is being removed", connect); err != nil {
			return slot, err
		}
	} else if slot, err = dropSlot(ctx, stages.Env{Client: c, Backup: backup}.WithDefaults(), st, connect); err != nil {
		return slot, err
	}
	return slot, c.RemoveBackup(ctx, backup)
}

// removeLost removes what is left of a backup whose event log is lost. What the log said of its slot is lost too: a slot of its own has a name that
// follows from the backup's.
func removeLost(ctx context.Context, c *pipeline.Client, backup string, connect Connector) (slot string, err error) {
	slot = SlotName(backup)
	if connect != nil {
		if err := checkpoint.DropSlot(ctx, connect, slot); err != nil {
			return slot, err
		}
		slot = ""
	}
	return slot, c.RemoveBackup(ctx, backup)
}

// dropSlot drops the backup's own slot, or says that it may be left. A complete backup has none any more, nor has one whose log says that it is gone.
func dropSlot(ctx context.Context, env stages.Env, st pipeline.State, connect Connector) (string, error) {
	r := st.Requested
	if !r.OwnSlot || connect == nil && (st.Completed != nil || st.SlotDropped != nil) {
		return "", nil
	}
	if connect == nil {
		return r.Slot, nil
	}
	if err := checkpoint.DropOwnSlot(ctx, connect, r); err != nil {
		return "", err
	}
	return "", checkpoint.NoteSlotDropped(ctx, env, "slot", r)
}

// SetLimit limits the rate of the source, or of a target, in bytes per second; 0 is no limit.
func SetLimit(ctx context.Context, c *pipeline.Client, backup, target string, rate int64) error {
	st, err := Known(ctx, c, backup)
	if err != nil {
		return err
	}
	if _, ok := st.Targets[target]; target != "" && !ok {
		return fmt.Errorf("backup \"%s\" has no target \"%s\", only %v", backup, target, targetNames(st))
	}
	env := stages.Env{Client: c, Backup: backup}.WithDefaults()
	return env.AppendIf(ctx, "limit", messages.EventLimitChanged, messages.LimitChanged{Target: target, BytesPerSecond: rate}, func(st pipeline.State) error {
		if st.Completed != nil {
			return fmt.Errorf("backup \"%s\" is complete", backup)
		}
		return st.Terminal()
	})
}

// List returns all backups, by id.
func List(ctx context.Context, c *pipeline.Client) ([]Summary, error) {
	ids, err := c.Backups(ctx)
	if err != nil {
		return nil, err
	}
	all := []Summary{}
	for _, id := range ids {
		st, err := c.Log(id).State(ctx)
		if err != nil {
			return nil, err
		}
		if st.Requested == nil {
			continue
		}
		s := Summary{Backup: id, Label: st.Requested.Label, RequestedAt: st.RequestedAt, UpdatedAt: st.UpdatedAt, Targets: targetNames(st), Ready: []string{}}
		s.State, s.Error = stateOf(st)
		for _, t := range s.Targets {
			if st.Targets[t].Configured != nil {
				s.Ready = append(s.Ready, t)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// whoami is user@host, for people who read the log.
func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return name + "@" + host
}
