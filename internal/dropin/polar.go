package dropin

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"polarcast/pfs"
	"polarcast/stages/node"
	"polarcast/stages/target"
)

// shared reports whether the source has a shared tree.
func (r *backup) shared() bool {
	return r.prepared.Polar != nil && r.prepared.Polar.SharedStorage
}

// checkPolar refuses options that do not fit the source, and settles what is read of it.
func (r *backup) checkPolar() error {
	o, q := &r.o, &r.o.Request
	switch {
	case !r.shared() && (o.Target.SharedDir != "" || o.Mount != nil):
		return errors.New("the server is not in shared-storage mode, it has no shared data: leave out --polardata and the options that belong to it")
	case !r.shared() && q.Options.Local != "":
		return fmt.Errorf("the server is not in shared-storage mode, all its data is local: leave out --local=%s", q.Options.Local)
	case r.shared() && o.Target.WALDir != "":
		return errors.New("--waldir cannot be used with a server in shared-storage mode: its WAL is in the shared directory")
	}
	if err := o.Settings.Check(&r.prepared); err != nil {
		return err
	}
	if o.Settings.Kind == node.Replica {
		// A replica reads the primary's shared data where it is. It needs the configuration and no backup: no WAL, no manifest.
		q.Options.NoShared, q.Options.Local = true, "config"
		q.WALMethod, q.Options.Manifest, q.Options.ManifestChecksums = "none", "no", ""
		q.Source, q.Read = "stream", ""
		return nil
	}
	if !r.shared() || r.stdout() || o.Tar != nil {
		return nil
	}
	return r.checkTrees()
}

// checkTrees refuses trees that lie in each other's way.
func (r *backup) checkTrees() error {
	o := &r.o
	if o.Mount != nil || o.Target.SharedDir == "" {
		return nil
	}
	local, err := filepath.Abs(o.Target.Dir)
	if err != nil {
		return err
	}
	shared, err := filepath.Abs(o.Target.SharedDir)
	if err != nil {
		return err
	}
	o.Target.SharedDir = shared
	if local == shared || strings.HasPrefix(local, shared+"/") {
		return fmt.Errorf("the local directory \"%s\" is inside of the shared directory \"%s\": give them separate directories", local, shared)
	}
	return nil
}

// attach mounts the disk of the shared directory.
func (r *backup) attach(ctx context.Context) error {
	if r.o.Mount == nil || r.o.Request.Options.NoShared || r.o.Tar != nil {
		return nil
	}
	f, err := r.o.Mount(ctx)
	if err != nil {
		return err
	}
	r.o.Target.SharedFS = f
	return nil
}

// detach gives the disk back.
func (r *backup) detach() error {
	f := r.o.Target.SharedFS
	if f == nil {
		return nil
	}
	r.o.Target.SharedFS = nil
	return f.Close()
}

// checkFresh refuses a shared directory that is in use, and a disk that holds anything, unless its user has made sure that no other host uses it: PFS
// notices no second host, and two that write destroy the file system.
func (r *backup) checkFresh() error {
	o := &r.o
	if !r.shared() || o.Tar != nil || r.stdout() || o.Request.Options.NoShared || o.Target.SharedDir == "" {
		return nil
	}
	f := o.Target.SharedFS
	if f == nil {
		f = pfs.Local()
	}
	state, err := target.CheckDir(f, path.Clean(o.Target.SharedDir))
	if err != nil {
		return err
	}
	if state == target.InUse {
		return fmt.Errorf("directory \"%s\" exists but is not empty", o.Target.SharedDir)
	}
	if o.ForceMount {
		return nil
	}
	return target.CheckFresh(f)
}

// spinAfter is how long the start of a backup takes before it is told why: on PolarDB it repeats checkpoints until the redo position has moved,
// about 10 s on an idle server, and under load as long as such checkpoints take.
const spinAfter = 3 * time.Second

// tellSpin tells why the start of a backup takes long on PolarDB.
func (v *narrator) tellSpin(ctx context.Context) {
	if v.r.prepared.Polar == nil || v.r.resumed {
		return
	}
	select {
	case <-time.After(spinAfter):
	case <-ctx.Done():
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.r.phases.checkpoint.IsZero() {
		v.r.o.UI.Verbose("waiting for PolarDB's checkpoints, which are repeated until its redo position moves (on an idle server for about 10 seconds)")
	}
}
