package target

import (
	"errors"
	"fmt"
	"io/fs"

	"polarcast/messages"
	"polarcast/pfs"
)

// Walk calls fn for everything below the directories of a plain target, what is in a directory before the directory itself, with the tree and the
// path of the record that makes it. Left out are WAL and the marker; no link is followed but those of tablespaces. fn may remove what it is called for.
func (l *Layout) Walk(fn func(t messages.Tree, path string, at Place, e pfs.DirEntry) error) error {
	w := &ownWalk{l: l, fn: fn}
	if err := w.dir(messages.TreeLocal, "", Place{l.local, l.cfg.Dir}); err != nil {
		return err
	}
	if l.sharedDir == "" {
		return nil
	}
	return w.dir(messages.TreeShared, "", Place{l.shared, l.sharedDir})
}

type ownWalk struct {
	l  *Layout
	fn func(t messages.Tree, path string, at Place, e pfs.DirEntry) error
}

func (w *ownWalk) dir(t messages.Tree, rel string, at Place) error {
	entries, err := at.FS.ReadDir(at.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not read directory \"%s\": %w", at.Path, unwrapPath(err))
	}
	for _, e := range entries {
		path, to := e.Name, Place{at.FS, at.Path + "/" + e.Name}
		if rel != "" {
			path = rel + "/" + e.Name
		}
		if path == MarkerDir || path == "pg_wal" || to.Path == w.l.walDir || t == messages.TreeLocal && rel == "" && to.Path == w.l.sharedDir {
			continue
		}
		_, space := spaceLink(path)
		if e.Dir || e.Symlink && space {
			if err := w.dir(t, path, to); err != nil {
				return err
			}
		}
		if err := w.fn(t, path, to, e); err != nil {
			return err
		}
	}
	return nil
}
