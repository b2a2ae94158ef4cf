package polarcast

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// join makes this process serve its target, or says why it must not. Nothing is written before all checks have passed. done says that the
// target is a node already.
func (r *Receiver) join(ctx context.Context, st pipeline.State) (done bool, err error) {
	name := r.Target.Name
	if err := st.Terminal(); err != nil {
		return false, fmt.Errorf("backup \"%s\" cannot be received: %w", r.Backup, err)
	}
	t, known := st.Targets[name]
	switch {
	case t.Dropped != nil:
		return false, fmt.Errorf("target \"%s\" was dropped from backup \"%s\": %s; its chunks are gone, so remove what it has, and receive another backup", name, r.Backup, t.Dropped.Reason)
	case t.Failed != nil:
		return false, fmt.Errorf("target \"%s\" of backup \"%s\" failed: %s; remove what it has, and receive another backup", name, r.Backup, t.Failed.Error)
	case !known && st.Requested.Delta:
		return false, fmt.Errorf("target \"%s\" is too late for backup \"%s\", which is sent with --delta: what all of its targets hold is not sent; name the target with \"polarcast send --target\"", name, r.Backup)
	case r.Target.Format == target.Tar && !st.Requested.Options.Tar:
		return false, fmt.Errorf("backup \"%s\" is not sent in an order that archives can be written in: start \"polarcast send\" with --tar", r.Backup)
	}
	if err := r.sameHost(t); err != nil {
		return false, err
	}
	r.adopt(t)
	if t.Configured != nil {
		r.Logger.Warn("target \"" + name + "\" of backup \"" + r.Backup + "\" is ready since " + st.UpdatedAt.Local().Format(time.DateTime) + ", nothing to do")
		return true, nil
	}
	if err := r.checkDirectory(ctx, st, t); err != nil {
		return false, err
	}
	if !known {
		if err := r.joinLate(ctx, st); err != nil {
			return false, err
		}
	}
	return false, r.env.AppendIf(ctx, "receive", messages.EventTargetJoined, r.joined(), func(st pipeline.State) error {
		t := st.Targets[name]
		if t.Dropped != nil {
			return fmt.Errorf("target \"%s\" was dropped from backup \"%s\": %s", name, r.Backup, t.Dropped.Reason)
		}
		if t.Joined != nil && *t.Joined == r.joined() {
			return pipeline.ErrSkip
		}
		if err := r.sameHost(t); err != nil {
			return err
		}
		return st.Terminal()
	})
}

// joinLate makes a target of one that the backup was not begun with.
func (r *Receiver) joinLate(ctx context.Context, st pipeline.State) error {
	var names []string
	for n := range st.Targets {
		names = append(names, n)
	}
	slices.Sort(names)
	if st.Requested.Keep == 0 {
		return fmt.Errorf("backup \"%s\" has no target \"%s\", only %s; to let a target join later, send with --keep", r.Backup, r.Target.Name, strings.Join(names, ", "))
	}
	err := r.Client.JoinTarget(ctx, r.Backup, r.Target.Name)
	if errors.Is(err, pipeline.ErrNoStream) {
		return fmt.Errorf("target \"%s\" is too late for backup \"%s\": its chunks were kept for %s and are gone", r.Target.Name, r.Backup, time.Duration(st.Requested.Keep))
	}
	if err == nil {
		r.Logger.Info("target joins the backup late", "target", r.Target.Name)
	}
	return err
}

// sameHost refuses a second directory of one target: each would get a part of the files.
func (r *Receiver) sameHost(t pipeline.TargetState) error {
	me := r.joined()
	j := t.Joined
	if j == nil || j.Directory == me.Directory && j.Format == me.Format && (j.Host == me.Host || target.Owner(me.Directory) == r.Backup) {
		return nil
	}
	return fmt.Errorf("target \"%s\" of backup \"%s\" is served by host %s in directory \"%s\" already: give each host a target of its own, or continue there",
		r.Target.Name, r.Backup, j.Host, j.Directory)
}

// checkDirectory refuses a directory that is not new, empty, or this target's own.
func (r *Receiver) checkDirectory(ctx context.Context, st pipeline.State, t pipeline.TargetState) error {
	dir := r.Target.Dir
	if r.Target.Delta && t.Opened == nil && t.Written == nil {
		return r.checkOld(ctx, st)
	}
	state, err := target.CheckDir(pfs.Local(), dir)
	if err != nil {
		return err
	}
	mine := target.Owner(dir) == r.Backup
	if state == target.InUse && t.Opened == nil { // another process of this target may have begun right now
		if st, err = r.env.Log().State(ctx); err != nil {
			return err
		}
		t = st.Targets[r.Target.Name]
		mine = mine || target.Took(st, r.Target.Name, r.joined().Directory)
	}
	switch {
	case t.Opened == nil && state == target.InUse && mine:
		return fmt.Errorf("directory \"%s\" holds a part of an earlier backup of the name \"%s\": remove the directory", dir, r.Backup)
	case state == target.InUse && !mine && t.Written == nil:
		return errors.New(inUse(dir, st))
	case t.Opened == nil || mine || t.Written != nil:
		return nil
	}
	// What was received went somewhere else, or was removed: going on would leave holes that nobody finds.
	lag, err := r.Client.TargetLag(ctx, r.Backup, r.Target.Name)
	if err != nil {
		return err
	}
	if lag.AckFloor > 0 {
		return fmt.Errorf("directory \"%s\" has lost what target \"%s\" had received of backup \"%s\": bring it back, or receive another backup", dir, r.Target.Name, r.Backup)
	}
	return nil
}

// inUse says what a directory holds.
func inUse(dir string, st pipeline.State) string {
	text := fmt.Sprintf("directory \"%s\" exists but is not empty", dir)
	b, err := os.ReadFile(dir + "/global/pg_control")
	if err != nil {
		return text
	}
	c, err := postgres.ParseControl(b)
	if err != nil {
		return text
	}
	text += fmt.Sprintf(": it holds a server with system identifier %d", c.SystemID)
	if st.Prepared != nil && st.Prepared.SystemID != fmt.Sprint(c.SystemID) {
		text += fmt.Sprintf(", and the backup is of another one (%s)", st.Prepared.SystemID)
	}
	return text
}
