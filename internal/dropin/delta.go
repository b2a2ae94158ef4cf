package dropin

import (
	"context"
	"errors"
	"fmt"
	"os"

	"polarcast/internal/oserr"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// checkDelta refuses sources whose copies cannot be brought up to date.
func (r *backup) checkDelta() error {
	if r.o.Target.Delta && r.shared() {
		return errors.New("--delta cannot be used with a server in shared-storage mode")
	}
	return nil
}

// take begins a backup that brings the old copy in the directory up to date.
func (r *backup) take(ctx context.Context) error {
	dir := r.o.Target.Dir
	r.id = newID()
	if err := target.CheckOld(dir, r.id, r.prepared.SystemID, r.prepared.ServerVersion); err != nil {
		return err
	}
	if err := target.Take(dir, r.id, r.prepared.SystemID); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return r.tell(cause(ctx, err), r.abandon)
	}
	return nil
}

// continues reports whether the interrupted backup in the directory is the one that this command is about.
func (r *backup) continues(st pipeline.State) bool {
	return st.Requested != nil && st.Requested.Fingerprint == r.o.Fingerprint && (st.Prepared == nil || st.Prepared.SystemID == r.prepared.SystemID) &&
		(st.Completed != nil || st.Terminal() == nil)
}

// retake begins anew on what an interrupted backup left: it is an old copy like others.
func (r *backup) retake(ctx context.Context) error {
	r.o.UI.Info("the interrupted backup in directory \"%s\" cannot be continued: comparing what it left", r.o.Target.Dir)
	r.close()
	r.client, r.server = nil, nil
	if err := os.RemoveAll(r.storeDir); err != nil {
		return fmt.Errorf("could not remove directory \"%s\": %w", r.storeDir, oserr.Cause(err))
	}
	return r.take(ctx)
}

// leave ends a run that failed on an old copy: as it was when nothing was changed yet, or ready to be continued.
func (r *backup) leave(cause error) error {
	dir := r.o.Target.Dir
	if r.final.Session() == nil || errors.Is(cause, target.ErrNotOld) {
		if r.client != nil && r.server == nil {
			if err := r.client.RemoveBackup(context.Background(), r.id); err != nil {
				return err
			}
		}
		r.close()
		r.client, r.server = nil, nil
		same, err := target.GiveBack(dir)
		if err != nil {
			return err
		}
		if same {
			r.o.UI.Info("data directory \"%s\" is as it was before", dir)
			return r.dropSlot(r.final)
		}
	}
	r.o.UI.Info("data directory \"%s\" is not complete: run the same command again to continue", dir)
	return nil
}
