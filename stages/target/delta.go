package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"polarcast/pfs"
)

// Take makes an old copy the directory of a backup, after CheckOld. No server starts in it from now on.
func Take(dir, backup, systemID string) error {
	if Owner(dir) != backup || !IsKept(dir) {
		if err := mark(dir, backup, fromKept); err != nil {
			return err
		}
	}
	if err := keepSystem(dir, systemID); err != nil {
		return err
	}
	control, old := filepath.Join(dir, controlFile), filepath.Join(dir, ControlOld)
	err := os.Rename(control, old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an interrupted copy
	}
	if err == nil {
		err = pfs.Local().SyncDir(filepath.Dir(control))
	}
	if err != nil {
		return fmt.Errorf("could not rename file \"%s\" to \"%s\": %w", control, old, unwrapPath(err))
	}
	if pid := running(dir); pid != 0 { // it was started at this very moment
		return errors.Join(notOld{fmt.Sprintf("directory \"%s\" cannot be brought up to date: a server was started in it (PID %d)", dir, pid)}, os.Rename(old, control))
	}
	return nil
}

// GiveBack makes an old copy as it was, and reports whether that could be done: when nothing was changed yet but the names of the control file.
func GiveBack(dir string) (bool, error) {
	if !IsKept(dir) {
		return false, nil
	}
	control, old := filepath.Join(dir, controlFile), filepath.Join(dir, ControlOld)
	if exists(old) && !exists(control) {
		if err := os.Rename(old, control); err != nil {
			return false, fmt.Errorf("could not rename file \"%s\" to \"%s\": %w", old, control, unwrapPath(err))
		}
	}
	if !exists(control) {
		return false, nil
	}
	return true, Unmark(dir)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// openOld takes the directories of an old copy, once. It refuses one whose links lead elsewhere than the backup's, and prepares it for writing.
func (l *Layout) openOld() (kept []string, err error) {
	dir := l.cfg.Dir
	if l.cfg.Format == Tar || l.sharedDir != "" {
		return nil, notOld{fmt.Sprintf("directory \"%s\" cannot be brought up to date: that is only done for plain format, and for servers that are not in shared-storage mode", dir)}
	}
	if exists(filepath.Join(dir, controlFile)) {
		return nil, notOld{fmt.Sprintf("directory \"%s\" was used after it had been looked at: take another backup", dir)}
	}
	links, err := l.oldLinks()
	if err != nil {
		return nil, err
	}
	kept = []string{dir}
	if l.cfg.WALDir != "" {
		kept = append(kept, l.cfg.WALDir)
	}
	for oid, to := range links {
		if loc, ok := l.spaces[oid]; ok {
			if path.Clean(loc) != path.Clean(to) {
				return nil, notOld{fmt.Sprintf("directory \"%s\" cannot be brought up to date: its tablespace %s is in \"%s\", and the backup would put it into \"%s\"; "+
					"map the source's location to the former with --tablespace-mapping", dir, oid, to, loc)}
			}
			kept = append(kept, loc)
		}
	}
	return kept, l.clear(links)
}

// oldLinks returns where the tablespaces of the old copy are, by oid. It refuses a pg_wal that is not where the backup's is.
func (l *Layout) oldLinks() (map[string]string, error) {
	dir := l.cfg.Dir
	wal := filepath.Join(dir, "pg_wal")
	switch info, err := os.Lstat(wal); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("could not stat file \"%s\": %w", wal, unwrapPath(err))
	case info.Mode().Type() == fs.ModeSymlink:
		if to, err := os.Readlink(wal); err != nil || path.Clean(to) != path.Clean(l.cfg.WALDir) {
			return nil, notOld{fmt.Sprintf("directory \"%s\" cannot be brought up to date: its pg_wal is a link to \"%s\"; name that with --waldir", dir, to)}
		}
	case l.cfg.WALDir != "":
		return nil, notOld{fmt.Sprintf("directory \"%s\" cannot be brought up to date: its pg_wal is no link to \"%s\"; leave out --waldir", dir, l.cfg.WALDir)}
	}
	links := map[string]string{}
	err := WalkOld(dir, func(f Found) error {
		if oid, ok := spaceLink(f.Path); ok && f.Link != "" {
			links[oid] = f.Link
		}
		return nil
	})
	return links, err
}

// clear removes what must not stay while files are written by position: the passing files, WAL, links that lead out of the copy, files that are
// another copy's too, and tablespaces that the backup does not have. It may be done again.
func (l *Layout) clear(links map[string]string) error {
	dir := l.cfg.Dir
	// The old control file first: as long as it is there, nothing was changed.
	old := filepath.Join(dir, ControlOld)
	if err := os.RemoveAll(old); err != nil {
		return cannotRemove(old, err)
	}
	if err := pfs.Local().SyncDir(filepath.Dir(old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("could not fsync directory \"%s\": %w", filepath.Dir(old), unwrapPath(err))
	}
	for _, name := range passing {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return cannotRemove(filepath.Join(dir, name), err)
		}
	}
	if err := emptyWAL(filepath.Join(dir, "pg_wal")); err != nil {
		return err
	}
	version, _ := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	for oid, to := range links {
		if _, ok := l.spaces[oid]; ok {
			continue
		}
		dirs, err := filepath.Glob(filepath.Join(to, "PG_"+strings.TrimSpace(string(version))+"_*"))
		if err != nil {
			return cannotRemove(to, err)
		}
		for _, name := range append(dirs, filepath.Join(dir, "pg_tblspc", oid)) {
			if err := os.RemoveAll(name); err != nil {
				return cannotRemove(name, err)
			}
		}
	}
	// A server does not start in a directory that others may look into.
	if err := os.Chmod(dir, l.cfg.DirMode); err != nil {
		return fmt.Errorf("could not set permissions on directory \"%s\": %w", dir, unwrapPath(err))
	}
	return WalkOld(dir, l.prepare)
}

// prepare removes one entry that must not be written to, and gives others the modes of new ones.
func (l *Layout) prepare(f Found) error {
	mode := l.cfg.FileMode
	switch {
	case f.Link != "":
		return nil
	case !f.offered(), !f.Info.IsDir() && !f.Own():
		if err := os.RemoveAll(f.Full); err != nil {
			return cannotRemove(f.Full, err)
		}
		return nil
	case f.Info.IsDir():
		mode = l.cfg.DirMode
	}
	if f.Info.Mode().Perm() == mode {
		return nil
	}
	if err := os.Chmod(f.Full, mode); err != nil {
		return fmt.Errorf("could not set permissions on file \"%s\": %w", f.Full, unwrapPath(err))
	}
	return nil
}

// emptyWAL removes segments and what else is in pg_wal.
func emptyWAL(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not read directory \"%s\": %w", dir, unwrapPath(err))
	}
	for _, e := range entries {
		if e.Name() == "lost+found" {
			continue
		}
		if err := os.RemoveAll(dir + "/" + e.Name()); err != nil {
			return cannotRemove(dir+"/"+e.Name(), err)
		}
	}
	return nil
}

func cannotRemove(name string, err error) error {
	return fmt.Errorf("could not remove \"%s\": %w", name, unwrapPath(err))
}

// opening keeps other processes of this target from taking the directory over at the same time.
func (l *Layout) opening() (func(), error) {
	f, err := flock(l.cfg.Dir, openFile, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}
