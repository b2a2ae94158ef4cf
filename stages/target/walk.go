package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"polarcast/messages"
)

// Found is one entry of an old copy.
type Found struct {
	Path string // as records name it
	Full string // where it is
	Info fs.FileInfo
	// Link is where the link of a tablespace leads; "" for everything else.
	Link string
}

// Own reports whether the entry is a file that belongs to this copy alone. A file with several names may be another cluster's as well (pg_upgrade
// --link, snapshots by hard links), so it must not be written to.
func (f *Found) Own() bool {
	if !f.Info.Mode().IsRegular() {
		return false
	}
	st, ok := f.Info.Sys().(*syscall.Stat_t)
	return !ok || st.Nlink == 1
}

// passing are files whose content in an old copy is of no use for the new one. They are removed before anything is written.
var passing = []string{"backup_manifest", ManifestPending, ManifestPending + ".new", "backup_label", "backup_label.old", "tablespace_map", "tablespace_map.old",
	"postmaster.pid", "postmaster.opts", "standby.signal", "recovery.signal", "recovery.conf", "recovery.done", controlFile, ControlPending, ControlOld}

// WalkOld calls fn for each entry of an old copy: what is in the data directory, and in the tablespaces that its links lead to, there only below the
// directories of the copy's major version. Left out are the marker, a mount point's lost+found, the contents of pg_wal, and the passing files. No other
// link is followed. A tablespace that lies in the data directory is walked as a tablespace only; for the place itself and what leads to it fn is not called. fn may
// remove what it is called for.
func WalkOld(dir string, fn func(f Found) error) error {
	version, _ := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	w := &oldWalk{fn: fn, prefix: "PG_" + strings.TrimSpace(string(version)) + "_", within: SpacesWithin(dir)}
	return w.dir(dir, "")
}

type oldWalk struct {
	fn     func(f Found) error
	prefix string
	within []string // places of tablespaces in the data directory
}

// SpacesWithin returns where the links of tablespaces lead to in the data directory itself.
func SpacesWithin(dir string) []string {
	links, _ := filepath.Glob(filepath.Join(dir, "pg_tblspc", "*"))
	var out []string
	for _, name := range links {
		to, err := os.Readlink(name)
		if err != nil {
			continue // a tablespace in place
		}
		if below, ok := beneath(realDir(dir), realDir(to)); ok {
			out = append(out, below)
		}
	}
	return out
}

// leads reports whether a directory is the place of a tablespace in the data directory, or on the way to one.
func (w *oldWalk) leads(path string) (place, way bool) {
	for _, p := range w.within {
		place = place || p == path
		way = way || strings.HasPrefix(p, path+"/")
	}
	return place, way
}

func (w *oldWalk) dir(full, rel string) error {
	entries, err := os.ReadDir(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not read directory \"%s\": %w", full, unwrapPath(err))
	}
	for _, e := range entries {
		path := e.Name()
		if rel != "" {
			path = rel + "/" + path
		}
		if rel == "" && (path == MarkerDir || path == "lost+found" || path == "pg_wal") || slices.Contains(passing, path) {
			continue
		}
		if err := w.entry(full+"/"+e.Name(), path, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *oldWalk) entry(full, path string, e os.DirEntry) error {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not stat file \"%s\": %w", full, unwrapPath(err))
	}
	f := Found{Path: path, Full: full, Info: info}
	if _, ok := spaceLink(path); ok && info.Mode().Type() == fs.ModeSymlink {
		if f.Link, err = os.Readlink(full); err != nil {
			return fmt.Errorf("could not read symbolic link \"%s\": %w", full, unwrapPath(err))
		}
		if err := w.fn(f); err != nil {
			return err
		}
		return w.space(f.Link, path)
	}
	place, way := w.leads(path)
	if !place && !way {
		if err := w.fn(f); err != nil {
			return err
		}
	}
	if place || !info.IsDir() {
		return nil
	}
	return w.dir(full, path)
}

// space walks the directories of one tablespace that belong to the copy's major version.
func (w *oldWalk) space(location, path string) error {
	entries, err := os.ReadDir(location)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not read directory \"%s\": %w", location, unwrapPath(err))
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), w.prefix) || !e.IsDir() {
			continue
		}
		if err := w.entry(location+"/"+e.Name(), path+"/"+e.Name(), e); err != nil {
			return err
		}
	}
	return nil
}

// spaceLink returns the oid of a path pg_tblspc/<oid>.
func spaceLink(path string) (oid string, ok bool) {
	oid, ok = strings.CutPrefix(path, "pg_tblspc/")
	return oid, ok && oid != "" && strings.Trim(oid, "0123456789") == ""
}

// offered reports whether a record may carry the path.
func (f *Found) offered() bool { return messages.ValidPath(f.Path) == nil }
