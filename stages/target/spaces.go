package target

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"polarcast/messages"
)

// checkSpaces refuses tablespaces that would lie in each other's files, or in the directories of the data directory. pg_basebackup fails in the middle then
// ("could not create directory", "exists but is not empty"), but for what does no harm: a tablespace in a directory of its own below the data directory, and one
// below an earlier one's. The order is that in which the server lists them.
func (l *Layout) checkSpaces() error {
	if l.cfg.Format == Tar {
		return nil
	}
	type place struct{ source, dir, real string }
	var all []place
	for _, t := range l.current {
		if t.OID == 0 || !path.IsAbs(t.Location) {
			continue
		}
		p := place{source: t.Location, dir: l.location(t)}
		p.real = realDir(p.dir)
		if err := l.checkInside(p.source, p.dir, p.real); err != nil {
			return err
		}
		for _, o := range all {
			below, inside := beneath(o.real, p.real)
			_, around := beneath(p.real, o.real)
			switch {
			case p.real == o.real:
				return spaceRefusal(p.source, p.dir, fmt.Sprintf("the one in \"%s\" goes there too", o.source))
			case around, inside && strings.HasPrefix(below, "PG_"):
				return spaceRefusal(p.source, p.dir, fmt.Sprintf("the one in \"%s\" goes to \"%s\"", o.source, o.dir))
			}
		}
		all = append(all, p)
	}
	return nil
}

// checkInside refuses a place inside of a directory that a server has in its data directory.
func (l *Layout) checkInside(source, dir, real string) error {
	roots := []string{l.cfg.Dir}
	if l.sharedDir != "" && l.shared == l.local {
		roots = append(roots, l.sharedDir)
	}
	for _, root := range roots {
		below, inside := beneath(realDir(root), real)
		name, _, _ := strings.Cut(below, "/")
		if inside && (name == "base" || name == "global" || name == MarkerDir || strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "polar_")) {
			return spaceRefusal(source, dir, fmt.Sprintf("directory \"%s/%s\" is for other files of the backup", root, name))
		}
	}
	return nil
}

func spaceRefusal(source, dir, why string) error {
	return notEmpty{fmt.Sprintf("the tablespace in \"%s\" cannot be put into directory \"%s\": %s; give it a directory of its own with --tablespace-mapping", source, dir, why)}
}

// beneath reports whether dir lies inside of root, and where.
func beneath(root, dir string) (below string, ok bool) {
	return strings.CutPrefix(dir, strings.TrimSuffix(root, "/")+"/")
}

// realDir follows the links of a directory, which need not be there yet.
func realDir(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	if parent := filepath.Dir(dir); parent != dir {
		return filepath.Join(realDir(parent), filepath.Base(dir))
	}
	return dir
}

// AddSpaces takes in user tablespaces of a later session, and reports whether one was new. Those of earlier sessions stay known: files in them
// may have to be removed. Not for use beside other methods.
func (l *Layout) AddSpaces(spaces []messages.Tablespace) (added bool) {
	l.current = spaces
	for _, t := range spaces {
		if t.OID == 0 {
			continue
		}
		oid, loc := fmt.Sprint(t.OID), l.location(t)
		if l.spaces[oid] != loc {
			l.spaces[oid] = loc
			added = true
		}
	}
	return added
}

// location is where a tablespace of the source is put. An in-place tablespace (relative location) stays inside the data directory.
func (l *Layout) location(t messages.Tablespace) string {
	if !path.IsAbs(t.Location) {
		if l.sharedDir != "" {
			return l.sharedDir + fmt.Sprintf("/pg_tblspc/%d", t.OID)
		}
		return filepath.Join(l.cfg.Dir, "pg_tblspc", fmt.Sprint(t.OID))
	}
	return MapLocation(l.cfg.Tablespaces, t.Location)
}

// MapLocation applies the tablespace mappings to one location, as pg_basebackup's get_tablespace_mapping does.
func MapLocation(ms []Mapping, location string) string {
	c := path.Clean(location)
	for _, m := range ms {
		if path.Clean(m.Old) == c {
			return path.Clean(m.New)
		}
	}
	return location
}
