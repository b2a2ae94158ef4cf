package target

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"polarcast/messages"
	"polarcast/pfs"
)

// Format is how a target is laid out.
type Format string

const (
	Plain Format = "plain"
	Tar   Format = "tar"
)

// SharedDefault is the directory below the data directory that receives PolarDB's shared tree when nothing else is said
// (POLAR_SHARED_DATA in PolarDB's src/include/backup/basebackup.h).
const SharedDefault = "polar_shared_data"

const (
	// MarkerDir lies in a data directory while a backup is written into it.
	MarkerDir = ".polarcast"
	// ControlPending is the name that global/pg_control has until the target is complete: a server refuses to start without the real one.
	ControlPending = "global/pg_control.polarcast"
	controlFile    = "global/pg_control"
	// ControlOld is the name that global/pg_control of an old copy gets before anything is changed: a server refuses to start without the real one.
	ControlOld = "global/pg_control.polarcast_old"
	// ManifestPending is the name that backup_manifest has until the target is complete, as pg_basebackup names it.
	ManifestPending = "backup_manifest.tmp"
	manifestFile    = "backup_manifest"
)

// Mapping is one --tablespace-mapping.
type Mapping struct{ Old, New string }

// Config describes a target as its flags do.
type Config struct {
	// Name is the target's name in the backup.
	Name   string
	Format Format
	// Dir is the data directory, for PolarDB the local tree; for tar the directory of the archives.
	Dir string
	// SharedDir is PolarDB's shared tree; "" is SharedDefault below Dir.
	SharedDir string
	// SharedFS is where SharedDir lives; nil is the local file system.
	SharedFS pfs.FS
	// NoShared leaves the shared tree and its WAL out: the node shares the source's storage.
	NoShared bool
	// WALDir replaces pg_wal by a link to this directory.
	WALDir string
	// Tablespaces maps locations on the source to locations here.
	Tablespaces []Mapping
	// Delta brings an old copy in Dir up to date. Without one it is as any other target.
	Delta bool
	// FileMode and DirMode are the modes of what is created; 0600 and 0700 unless the source lets its group read.
	FileMode, DirMode fs.FileMode
}

// Layout resolves paths of records to places of a target.
type Layout struct {
	cfg    Config
	local  pfs.FS
	shared pfs.FS
	// sharedDir is "" for a source without shared storage.
	sharedDir string
	walDir    string
	walFS     pfs.FS
	spaces    map[string]string // oid → location
	current   []messages.Tablespace
	attached  pfs.FS   // given back by Close
	lock      *os.File // says that the directory is being written
}

// NewLayout returns the layout of a target. shared says that the source has a shared tree; spaces are its user tablespaces.
func NewLayout(cfg Config, shared bool, spaces []messages.Tablespace) (*Layout, error) {
	if cfg.FileMode == 0 {
		cfg.FileMode, cfg.DirMode = 0o600, 0o700
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	l := &Layout{cfg: cfg, local: pfs.Local(), spaces: map[string]string{}}
	l.walFS, l.walDir = l.local, filepath.Join(dir, "pg_wal")
	if shared {
		l.shared, l.sharedDir = cfg.SharedFS, cfg.SharedDir
		if l.shared == nil {
			l.shared = l.local
		}
		if l.sharedDir == "" {
			l.sharedDir = filepath.Join(dir, SharedDefault)
		}
		l.sharedDir = path.Clean(l.sharedDir)
		l.walFS, l.walDir = l.shared, l.sharedDir+"/pg_wal"
	}
	if cfg.WALDir != "" {
		if shared {
			return nil, fmt.Errorf("--waldir cannot be used with a source in shared-storage mode: its WAL belongs to the shared directory")
		}
		l.walDir = cfg.WALDir
	}
	l.AddSpaces(spaces)
	return l, nil
}

// Skips reports whether records of a tree are not wanted here.
func (l *Layout) Skips(t messages.Tree) bool {
	return l.cfg.NoShared && (t == messages.TreeShared || t == messages.TreeWAL)
}

// Link returns where the link of a user tablespace leads in the target. PolarDB 15 in shared-storage mode sends the link and no location:
// the tablespace's files are in the shared tree, and the link's directory holds none.
func (l *Layout) Link(oid, source string) string {
	if loc, ok := l.spaces[oid]; ok {
		return loc
	}
	return MapLocation(l.cfg.Tablespaces, source)
}

// Attach makes Close give back a file system that was mounted for this layout.
func (l *Layout) Attach(f pfs.FS) { l.attached = f }

// Close gives back what was mounted for the layout.
func (l *Layout) Close() error {
	if l.lock != nil {
		l.lock.Close()
		l.lock = nil
	}
	if l.attached == nil {
		return nil
	}
	return l.attached.Close()
}

// Config returns the target's configuration with its defaults filled in.
func (l *Layout) Config() Config { return l.cfg }

// Dir is the absolute data directory.
func (l *Layout) Dir() string { return l.cfg.Dir }

// Shared returns PolarDB's shared tree, "" when there is none.
func (l *Layout) Shared() (pfs.FS, string) { return l.shared, l.sharedDir }

// WAL returns where WAL segments go.
func (l *Layout) WAL() (pfs.FS, string) { return l.walFS, l.walDir }

// Spaces returns the locations of user tablespaces by oid.
func (l *Layout) Spaces() map[string]string { return l.spaces }

// Place is one file of a target.
type Place struct {
	FS   pfs.FS
	Path string
}

// Resolve returns the place of a record. The names of the control file and the manifest are the pending ones.
func (l *Layout) Resolve(t messages.Tree, p string) (Place, error) {
	switch t {
	case messages.TreeWAL:
		return Place{l.walFS, l.walDir + "/" + p}, nil
	case messages.TreeShared:
		if l.sharedDir == "" {
			return Place{}, fmt.Errorf("the source sent %q of a shared tree, but it did not say that it has one", p)
		}
		switch p {
		case controlFile:
			p = ControlPending
		case manifestFile:
			p = ManifestPending
		}
		return Place{l.shared, l.sharedDir + "/" + p}, nil
	}
	switch {
	case p == controlFile:
		p = ControlPending
	case p == manifestFile:
		p = ManifestPending
	case p == "pg_wal", strings.HasPrefix(p, "pg_wal/"):
		if l.sharedDir == "" {
			return Place{l.walFS, l.walDir + strings.TrimPrefix(p, "pg_wal")}, nil
		}
	case strings.HasPrefix(p, "pg_tblspc/"):
		oid, rest, below := strings.Cut(p[len("pg_tblspc/"):], "/")
		if loc, ok := l.spaces[oid]; ok && below {
			return Place{l.local, loc + "/" + rest}, nil
		}
	}
	return Place{l.local, l.cfg.Dir + "/" + p}, nil
}
