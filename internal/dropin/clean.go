package dropin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"polarcast/internal/oserr"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// failed leaves the target as its user expects it after an error: ready to be continued, or cleaned up.
func (r *backup) failed(cause error) error {
	defer r.close()
	if r.stdout() {
		return nil
	}
	owner, _ := target.OwnerOf(r.o.Target.Dir)
	switch {
	case owner != r.id:
		// What is there now may be somebody else's.
		r.o.UI.Info("data directory \"%s\" was removed or replaced while the backup ran: remove what is left of it before another run", r.o.Target.Dir)
		return r.dropSlot(r.final)
	case target.IsKept(r.o.Target.Dir):
		return r.leave(cause)
	case r.o.NoClean:
		r.o.UI.Info("data directory \"%s\" not removed at user's request", r.named)
		return nil
	case !r.o.NoResume && r.o.Tar == nil && r.final.Session() != nil && (r.resumed || !refusal(cause)):
		r.o.UI.Info("the interrupted backup is kept in \"%s\": run the same command again to continue it, or with --no-resume to start over", r.named)
		return nil
	}
	return r.clean(r.final)
}

// refusal reports whether an error came before anything was written to the target, so that there is nothing to continue.
func refusal(err error) bool {
	return errors.Is(err, target.ErrNotEmpty) || errors.Is(err, pfs.ErrTooSmall)
}

// abandon removes a directory that nothing was written to yet.
func (r *backup) abandon() error {
	if r.o.NoClean {
		return nil
	}
	if target.IsKept(r.o.Target.Dir) {
		return r.leave(nil)
	}
	r.close()
	r.client, r.server = nil, nil
	return r.clean(pipeline.State{})
}

// clean removes what the backup created and nothing else. The data directory goes last: it holds the event log that says what else there is.
func (r *backup) clean(st pipeline.State) error {
	if err := r.dropSlot(st); err != nil {
		return fmt.Errorf("the interrupted backup is not removed: %w", err)
	}
	if r.client != nil && r.server == nil {
		if err := r.client.RemoveBackup(context.Background(), r.id); err != nil {
			return err
		}
	}
	if r.o.Target.SharedFS == nil {
		// The disk was given back for the start of a node, which has failed.
		if err := r.attach(context.Background()); err != nil {
			return fmt.Errorf("the interrupted backup is not removed: %w", err)
		}
	}
	r.close()
	r.client, r.server = nil, nil
	dir := r.o.Target.Dir
	if target.IsKept(dir) {
		return nil // what an old copy holds is its user's
	}
	var ev messages.TargetOpened
	if opened := st.Targets[targetName].Opened; opened != nil {
		ev = *opened
	}
	notMain := func(d string) bool { return d == dir }
	ev.Created = slices.DeleteFunc(slices.Clone(ev.Created), notMain)
	ev.Emptied = slices.DeleteFunc(slices.Clone(ev.Emptied), notMain)
	if err := target.Clean(&ev, r.o.Target.SharedFS); err != nil {
		return err
	}
	if r.made {
		r.o.UI.Info("removing data directory \"%s\"", r.named)
	} else {
		r.o.UI.Info("removing contents of data directory \"%s\"", r.named)
	}
	return empty(dir, r.made)
}

// empty removes what is in a directory, and the directory too when it was made for the backup. The marker goes last: a run that is killed here is
// still known to the next one.
func empty(dir string, made bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("failed to remove contents of data directory: could not read directory \"%s\": %w", dir, oserr.Cause(err))
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(rank(a), rank(b)) })
	var errs []error
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			errs = append(errs, fmt.Errorf("failed to remove contents of data directory: could not remove \"%s\": %w", filepath.Join(dir, e.Name()), oserr.Cause(err)))
		}
	}
	if made && len(errs) == 0 {
		if err := os.Remove(dir); err != nil {
			errs = append(errs, fmt.Errorf("failed to remove data directory: could not remove \"%s\": %w", dir, oserr.Cause(err)))
		}
	}
	return errors.Join(errs...)
}

func rank(e os.DirEntry) int {
	if e.Name() == target.MarkerDir {
		return 1
	}
	return 0
}
