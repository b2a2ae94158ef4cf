package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/storage"
	"polarcast/stages/target"
)

// The index follows the chunks. A reader that is killed leaves a few chunks behind that targets receive and of which the index says nothing, so the
// next session does not know that they are there. Receipts tell of them: they come from the target, or from who found what a dead process had in memory.

// stale returns what the target received beyond the index and nobody published again, because a later session found that range to be as the index
// says of an earlier one: the target has other bytes there now, or none.
func (f *fileAudit) stale() spans {
	var out spans
	for _, list := range [][]sessionSpans{f.have, f.touched} {
		for i := range list {
			rest := list[i].spans
			for j := range f.need {
				if f.need[j].session >= list[i].session {
					rest = rest.minus(f.need[j].spans)
				}
			}
			for _, r := range rest {
				out.add(min(r.from, f.want), min(r.to, f.want))
			}
		}
	}
	return out
}

// strays returns the keys of paths that the target received and the index never named: a later session does not list them, else they were named.
func (a *audit) strays() map[uint64]bool {
	var out map[uint64]bool
	for key, f := range a.open {
		if f.path != "" || f.tree == messages.TreeWAL || a.done[key] > 0 {
			continue
		}
		if out == nil {
			out = map[uint64]bool{}
		}
		out[key] = true
	}
	return out
}

// removeStrays removes what the target received and the backup does not have. Its names are found by looking through the target.
func (s *Stage) removeStrays(ctx context.Context, st pipeline.State, keys map[uint64]bool) error {
	l, err := s.layout(ctx, st)
	if err != nil {
		return err
	}
	defer l.Close()
	if l.Config().Format != target.Plain {
		return nil // an archive begins again with each session
	}
	dirs := map[target.Place]struct{}{}
	err = l.Walk(func(t messages.Tree, name string, at target.Place, e pfs.DirEntry) error {
		if !keys[messages.PathKey(t, name)] {
			return nil
		}
		remove := at.FS.Remove
		if e.Dir {
			remove = at.FS.Rmdir
		}
		err := remove(at.Path)
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("could not remove \"%s\", which the source does not have any more: %w", at.Path, err)
		}
		s.cfg.Logger.Info("removed what the source does not have any more", "target", s.target(), "path", at.Path)
		dirs[target.Place{FS: at.FS, Path: path.Dir(at.Path)}] = struct{}{}
		return nil
	})
	if err != nil || s.cfg.Storage.Sync == storage.SyncNone {
		return err
	}
	for d := range dirs {
		if err := d.FS.SyncDir(d.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("could not fsync directory \"%s\": %w", d.Path, err)
		}
	}
	return nil
}
