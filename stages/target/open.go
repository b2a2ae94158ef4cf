package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"polarcast/internal/oserr"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
)

// markerFile holds the id of the backup that writes into the directory.
const markerFile = "backup"

// Owner returns the id of the unfinished backup that a directory belongs to, "" when there is none.
func Owner(dir string) string {
	id, _ := OwnerOf(dir)
	return id
}

// OwnerOf returns the owner of a directory, and whether the backup created the directory.
func OwnerOf(dir string) (backup string, created bool) {
	id, origin := marker(dir)
	return id, origin == fromCreated
}

// What a marker says of where the directory comes from.
const (
	fromCreated = "created"
	fromKept    = "kept"
)

func marker(dir string) (backup, origin string) {
	b, err := os.ReadFile(filepath.Join(dir, MarkerDir, markerFile))
	if err != nil {
		return "", ""
	}
	backup, origin, _ = strings.Cut(strings.TrimSpace(string(b)), "\n")
	return backup, origin
}

// Mark makes dir the directory of a backup. It is durable, and leaves a marker of this backup as it is.
func Mark(dir, backup string) error {
	if Owner(dir) == backup {
		return nil
	}
	return MarkAs(dir, backup, false)
}

// MarkAs makes dir the directory of a backup, and notes whether the backup created it.
func MarkAs(dir, backup string, created bool) error {
	if created {
		return mark(dir, backup, fromCreated)
	}
	return mark(dir, backup, "")
}

func mark(dir, backup, origin string) error {
	content := backup + "\n"
	if origin != "" {
		content += origin + "\n"
	}
	m := filepath.Join(dir, MarkerDir)
	if err := os.MkdirAll(m, 0o700); err != nil {
		return fmt.Errorf("could not create directory \"%s\": %w", m, unwrapPath(err))
	}
	name := filepath.Join(m, markerFile)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("could not create file \"%s\": %w", name, unwrapPath(err))
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = errors.Join(pfs.Local().SyncDir(m), pfs.Local().SyncDir(dir))
	}
	if err != nil {
		return fmt.Errorf("could not write file \"%s\": %w", name, unwrapPath(err))
	}
	return nil
}

// Unmark removes the marker of a finished backup.
func Unmark(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, MarkerDir)); err != nil {
		return fmt.Errorf("could not remove directory \"%s\": %w", filepath.Join(dir, MarkerDir), unwrapPath(err))
	}
	return pfs.Local().SyncDir(dir)
}

// DirState is what was found where a target wants a directory.
type DirState int

const (
	Missing DirState = iota // does not exist
	Empty                   // exists and has no entries
	InUse                   // has entries
)

// CheckDir looks at a directory as pg_check_dir does. lost+found counts as an entry, as it does there.
func CheckDir(f pfs.FS, dir string) (DirState, error) {
	entries, err := f.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing, nil
	case err != nil:
		return InUse, fmt.Errorf("could not access directory \"%s\": %w", dir, unwrapPath(err))
	case len(entries) == 0:
		return Empty, nil
	}
	return InUse, nil
}

// CheckFresh refuses a disk of PFS that holds anything: another host may use it, which cannot be seen, and two hosts that write destroy it.
func CheckFresh(f pfs.FS) error {
	disk := f.Info().Disk
	if disk == "" {
		return nil
	}
	entries, err := f.ReadDir("/" + disk + "/")
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return notEmpty{fmt.Sprintf("PFS disk \"%s\" is not empty: if another host has it mounted for writing, this backup destroys what is on it, and that cannot be seen from here; "+
			"make sure that no other host has it mounted, then add --force-mount", disk)}
	}
	return nil
}

// ErrNotEmpty is wrapped by refusals of directories that hold something else.
var ErrNotEmpty = errors.New("directory exists but is not empty")

type notEmpty struct{ msg string }

func (e notEmpty) Error() string { return e.msg }
func (e notEmpty) Is(t error) bool {
	return t == ErrNotEmpty
}

// want is one directory that a target needs.
type want struct {
	fs  pfs.FS
	dir string
}

func (l *Layout) wants() []want {
	ws := []want{{l.local, l.cfg.Dir}}
	if l.cfg.WALDir != "" {
		ws = append(ws, want{l.local, l.cfg.WALDir})
	}
	if l.sharedDir != "" && l.cfg.Format != Tar {
		ws = append(ws, want{l.shared, l.sharedDir})
	}
	if l.cfg.Format == Tar {
		return ws
	}
	for _, loc := range l.spaces {
		if !strings.HasPrefix(loc, l.cfg.Dir+"/pg_tblspc/") && (l.sharedDir == "" || !strings.HasPrefix(loc, l.sharedDir+"/")) {
			ws = append(ws, want{l.local, loc})
		}
	}
	if l.sharedDir != "" {
		// PolarDB 15 names no locations before it sends its links, whose directories are made empty.
		for _, m := range l.cfg.Tablespaces {
			if d := path.Clean(m.New); !slices.ContainsFunc(ws, func(w want) bool { return w.dir == d }) {
				ws = append(ws, want{l.local, d})
			}
		}
	}
	slices.SortFunc(ws[1:], func(a, b want) int { return strings.Compare(a.dir, b.dir) })
	return ws
}

// Open makes sure that all directories of the target are this backup's own: new, empty, or taken by it before. What it takes is in the
// event log before it is created, so that a later run knows what it may remove. It refuses everything else before it writes.
func (l *Layout) Open(ctx context.Context, env stages.Env) error {
	if err := l.checkSpaces(); err != nil {
		return err
	}
	old := IsKept(l.cfg.Dir) && Owner(l.cfg.Dir) == env.Backup
	if old {
		opened, err := l.opening()
		if err != nil {
			return err
		}
		defer opened()
	}
	st, err := env.Log().State(ctx)
	if err != nil {
		return err
	}
	if err := l.same(st); err != nil {
		return err
	}
	ev := messages.TargetOpened{Target: l.cfg.Name, Layout: l.event()}
	known := openedDirs(st, l.cfg.Name)
	if old && !slices.Contains(known, l.cfg.Dir) {
		if ev.Kept, err = l.openOld(); err != nil {
			return err
		}
	}
	for _, w := range l.wants() {
		if slices.Contains(known, w.dir) || slices.Contains(ev.Kept, w.dir) {
			continue
		}
		s, err := CheckDir(w.fs, w.dir)
		if err != nil {
			return err
		}
		switch {
		case s == Missing:
			ev.Created = append(ev.Created, w.dir)
		case s == Empty, w.dir == l.cfg.Dir && l.cfg.Format != "" && Owner(w.dir) == env.Backup:
			ev.Emptied = append(ev.Emptied, w.dir)
		default:
			// Another process of the target, started at the same moment, may have taken the directory since the event log was read.
			if st, err = env.Log().State(ctx); err != nil {
				return err
			}
			if known = openedDirs(st, l.cfg.Name); !slices.Contains(known, w.dir) {
				return refuse(w.dir, env.Backup)
			}
		}
	}
	if len(ev.Created)+len(ev.Emptied)+len(ev.Kept) > 0 {
		if err := env.AppendIf(ctx, "storage", messages.EventTargetOpened, ev, l.same); err != nil {
			return err
		}
	}
	for _, w := range l.wants() {
		if err := pfs.MkdirAll(w.fs, w.dir, l.cfg.DirMode); err != nil {
			return fmt.Errorf("could not create directory \"%s\": %w", w.dir, unwrapPath(err))
		}
	}
	if l.cfg.WALDir != "" {
		if err := l.linkWAL(); err != nil {
			return err
		}
	}
	if err := Mark(l.cfg.Dir, env.Backup); err != nil {
		return err
	}
	if st.Prepared != nil {
		if err := keepSystem(l.cfg.Dir, st.Prepared.SystemID); err != nil {
			return err
		}
	}
	if l.lock == nil {
		l.lock, err = flock(l.cfg.Dir, writerFile, syscall.LOCK_SH)
	}
	return err
}

func refuse(dir, backup string) error {
	if o := Owner(dir); o != "" && o != backup {
		return notEmpty{fmt.Sprintf("directory \"%s\" belongs to the unfinished backup \"%s\"; continue that one, or remove the directory", dir, o)}
	}
	return notEmpty{fmt.Sprintf("directory \"%s\" exists but is not empty", dir)}
}

// Took reports whether the event log says that a target has taken a directory.
func Took(st pipeline.State, name, dir string) bool {
	return slices.Contains(openedDirs(st, name), dir)
}

func openedDirs(st pipeline.State, name string) []string {
	t, ok := st.Targets[name]
	if !ok || t.Opened == nil {
		return nil
	}
	return slices.Concat(t.Opened.Created, t.Opened.Emptied, t.Opened.Kept)
}

// linkWAL makes pg_wal a symbolic link to the separate WAL directory.
func (l *Layout) linkWAL() error {
	link := filepath.Join(l.cfg.Dir, "pg_wal")
	if to, err := os.Readlink(link); err == nil && to == l.cfg.WALDir {
		return nil
	}
	if err := os.Symlink(l.cfg.WALDir, link); err != nil {
		return fmt.Errorf("could not create symbolic link \"%s\": %w", link, unwrapPath(err))
	}
	return nil
}

// unwrapPath drops the operation and the path that Go adds, since the message names the path already.
func unwrapPath(err error) error { return oserr.Cause(err) }
