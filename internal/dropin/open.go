package dropin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"polarcast/internal/oserr"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/node"
	"polarcast/stages/target"
)

// open finds or makes the directory, the server and the backup.
func (r *backup) open(ctx context.Context) error {
	_, dirMode := r.modes()
	if r.stdout() {
		tmp, err := os.MkdirTemp("", "polar_basebackup-")
		if err != nil {
			return fmt.Errorf("could not create a directory for the backup's buffers: %w", err)
		}
		r.storeDir = tmp
		return r.begin(ctx)
	}
	dir, err := filepath.Abs(r.o.Target.Dir)
	if err != nil {
		return err
	}
	if r.named == "" {
		r.named = filepath.Clean(r.o.Target.Dir)
	}
	r.o.Target.Dir = dir
	r.storeDir = filepath.Join(dir, target.MarkerDir, "jetstream")
	if err := r.attach(ctx); err != nil {
		return err
	}
	if owner, made := target.OwnerOf(dir); owner != "" {
		r.made = made
		return r.reopen(ctx, owner)
	}
	state, err := target.CheckDir(pfs.Local(), r.named)
	if err != nil {
		return err
	}
	switch {
	case state == target.InUse && r.o.Target.Delta:
		return r.take(ctx)
	case state == target.InUse:
		return fmt.Errorf("directory \"%s\" exists but is not empty", r.named)
	}
	if err := r.checkFresh(); err != nil {
		return err
	}
	switch state {
	case target.Missing:
		if err := pfs.MkdirAll(pfs.Local(), dir, dirMode); err != nil {
			return fmt.Errorf("could not create directory \"%s\": %w", r.named, oserr.Cause(err))
		}
		r.made = true
	}
	r.id = newID()
	if err := target.MarkAs(dir, r.id, r.made); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return r.tell(cause(ctx, err), r.abandon)
	}
	return nil
}

// begin starts the server and registers a new backup.
func (r *backup) begin(ctx context.Context) error {
	if r.id == "" {
		r.id = newID()
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	req := r.o.Request
	req.Targets, req.Fingerprint = []string{targetName}, r.o.Fingerprint
	if r.besides() {
		req.Codec = "none" // nothing is sent anywhere
	}
	return r.client.CreateBackup(ctx, r.id, req, pipeline.StreamOptions{MaxBytes: chunkStreamBytes, Targets: req.Targets})
}

// reopen continues the interrupted backup that a directory holds, or removes it.
func (r *backup) reopen(ctx context.Context, owner string) error {
	r.id = owner
	if err := r.connect(ctx); err != nil {
		return err
	}
	st, err := r.client.Log(owner).State(ctx)
	if err != nil {
		return err
	}
	if r.o.Target.Delta && !r.continues(st) {
		return r.retake(ctx)
	}
	if target.IsKept(r.o.Target.Dir) && (r.o.NoResume || !r.o.Target.Delta && !r.continues(st)) {
		return fmt.Errorf("directory \"%s\" holds an old copy that an interrupted command with --delta was bringing up to date: repeat that command, or remove the directory", r.named)
	}
	if r.o.NoResume || st.Requested == nil || r.o.Tar != nil { // archives are written from front to back: they are begun again
		return r.restart(ctx, st)
	}
	r.o.Target.Delta = r.o.Target.Delta || target.IsKept(r.o.Target.Dir)
	if st.Requested.Fingerprint != r.o.Fingerprint {
		return fmt.Errorf("directory \"%s\" holds an interrupted backup that was made with other options (%s): repeat that command to continue it, or add --no-resume to start over",
			r.named, st.Requested.Command)
	}
	if st.Prepared != nil && st.Prepared.SystemID != r.prepared.SystemID {
		return fmt.Errorf("directory \"%s\" holds an interrupted backup of another server (system identifier %s, this one is %s): connect to that server to continue it, or add --no-resume to start over",
			r.named, st.Prepared.SystemID, r.prepared.SystemID)
	}
	if st.Completed == nil && st.Terminal() != nil {
		return r.restart(ctx, st)
	}
	if r.server != nil {
		if err := r.client.TakeOver(ctx, owner); err != nil {
			return err
		}
		// What the process before had in memory is gone, and is published again.
		ranges, err := node.Lost(ctx, r.client, owner, targetName)
		if err != nil {
			return err
		}
		touched, err := node.NoteTouched(ctx, r.client, owner, targetName)
		if err != nil {
			return err
		}
		if ranges = append(ranges, touched...); len(ranges) > 0 && st.Session() != nil {
			r.env.Lost = &messages.ChunksMissing{Target: targetName, Session: st.Session().Started.Session, Ranges: ranges}
		}
	}
	r.resumed = true
	r.o.UI.Info("continuing the interrupted backup in directory \"%s\"", r.named)
	return nil
}

// restart removes what the interrupted backup created and begins a new one.
func (r *backup) restart(ctx context.Context, st pipeline.State) error {
	r.o.UI.Info("removing the interrupted backup in directory \"%s\"", r.named)
	if err := r.clean(st); err != nil {
		return err
	}
	r.id = ""
	return r.open(ctx)
}
