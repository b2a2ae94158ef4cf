package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/storage"
	"polarcast/stages/target"
)

// finish turns a complete target into a node.
func (s *Stage) finish(ctx context.Context, st pipeline.State) error {
	l, err := s.layout(ctx, st)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := s.alone(ctx, l); err != nil {
		return err
	}
	if l.Config().Format == target.Plain {
		if err := s.finishPlain(st, l); err != nil {
			return err
		}
	} else if err := s.finishTar(l); err != nil {
		return err
	}
	start := s.cfg.Settings.Start && l.Config().Format == target.Plain
	if start {
		if err := s.release(ctx, l); err != nil {
			return err
		}
		if err := s.cfg.Settings.start(ctx, st, s.starter(l), s.phase); err != nil {
			return err
		}
	}
	if !s.cfg.KeepMarker && l.Config().Format == target.Plain {
		if err := target.Unmark(l.Dir()); err != nil {
			return err
		}
	}
	return s.cfg.AppendIf(ctx, stageName, messages.EventNodeConfigured, messages.NodeConfigured{Target: s.target(), Node: string(s.cfg.Settings.Kind),
		Directory: l.Dir(), Started: start}, func(st pipeline.State) error {
		if st.Targets[s.target()].Configured != nil {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
}

// patience is how long other processes of the target may take to see that it is complete before a person is told of them.
const patience = 5 * time.Second

// alone waits for the other processes of the target to be gone.
func (s *Stage) alone(ctx context.Context, l *target.Layout) error {
	defer s.waitFor("")
	return l.Alone(ctx, patience, func(pids []int) {
		who := "a process"
		if len(pids) > 0 {
			who = fmt.Sprintf("process %d", pids[0])
		}
		s.waitFor(who + " to leave the directory")
		s.cfg.Logger.Warn(fmt.Sprintf("target \"%s\" is complete, but %s still has directory \"%s\" open for writing: let it go on (kill -CONT), or end it", s.target(), who, l.Dir()))
	})
}

func (s *Stage) phase(p Phase) {
	if s.cfg.OnPhase != nil {
		s.cfg.OnPhase(p)
	}
}

func (s *Stage) finishPlain(st pipeline.State, l *target.Layout) error {
	if !exists(pfs.Local(), l.Dir()+"/"+target.ManifestPending) && serves(l.Dir()) {
		return nil // this step is done again, and the node was started before
	}
	if err := removeOldWAL(st, l); err != nil {
		return err
	}
	if err := removeFuture(st, l); err != nil {
		return err
	}
	if err := linkSpaces(st, l); err != nil {
		return err
	}
	if err := s.cfg.Settings.apply(st, l); err != nil {
		return err
	}
	durable := s.cfg.Storage.Sync != storage.SyncNone
	if durable {
		s.phase(PhaseSync)
		if err := syncDirs(l); err != nil {
			return err
		}
	}
	told := false
	for _, t := range controls(l) {
		pending := t.Path + "/" + target.ManifestPending
		if !exists(t.FS, pending) {
			continue
		}
		if !told {
			s.phase(PhaseManifest)
			told = true
		}
		if err := rename(t.FS, pending, t.Path+"/backup_manifest", durable); err != nil {
			return err
		}
	}
	// Last of all: from here on a server starts on the directory.
	for _, t := range controls(l) {
		from, to := t.Path+"/"+target.ControlPending, t.Path+"/global/pg_control"
		if exists(t.FS, from) {
			if err := rename(t.FS, from, to, durable); err != nil {
				return err
			}
		}
	}
	return nil
}

// finishTar makes the names of archives durable, which storage has made the archives themselves, and gives the manifest its own.
func (s *Stage) finishTar(l *target.Layout) error {
	local := pfs.Local()
	durable := s.cfg.Storage.Sync != storage.SyncNone
	if durable {
		s.phase(PhaseSync)
		if l.Dir() != "-" {
			if err := syncTree(local, l.Dir()); err != nil {
				return err
			}
		}
	}
	pending := l.Dir() + "/" + target.ManifestPending
	if exists(local, pending) {
		s.phase(PhaseManifest)
		if err := rename(local, pending, l.Dir()+"/backup_manifest", durable); err != nil {
			return err
		}
	}
	if !s.cfg.KeepMarker {
		return target.Unmark(l.Dir())
	}
	return nil
}

// controls returns the trees that have a control file.
func controls(l *target.Layout) []target.Place {
	places := []target.Place{{FS: pfs.Local(), Path: l.Dir()}}
	if f, dir := l.Shared(); dir != "" {
		places = append(places, target.Place{FS: f, Path: dir})
	}
	return places
}

// serves reports whether a server runs, or ended without a shutdown, on a data directory.
func serves(dir string) bool { return exists(pfs.Local(), dir+"/postmaster.pid") }

func exists(f pfs.FS, name string) bool {
	_, err := f.Stat(name)
	return err == nil
}

func rename(f pfs.FS, from, to string, durable bool) error {
	if err := f.Rename(from, to); err != nil {
		return fmt.Errorf("could not rename file \"%s\" to \"%s\": %w", from, to, err)
	}
	if !durable {
		return nil
	}
	if err := f.SyncDir(path.Dir(to)); err != nil {
		return fmt.Errorf("could not fsync directory \"%s\": %w", path.Dir(to), err)
	}
	return nil
}

// removeOldWAL removes segments that a lost session brought and that the last one does not need: a gap may lie between them.
func removeOldWAL(st pipeline.State, l *target.Layout) error {
	cur := stages.Stopped(st)
	if cur == nil || cur.Started.Session <= 1 {
		return nil
	}
	size := st.Prepared.WALSegmentSize
	f, dir := l.WAL()
	first := postgres.LSN(cur.Started.StartLSN)
	first -= postgres.LSN(uint64(first) % uint64(size))
	for _, sub := range []string{"", "/archive_status"} {
		entries, err := f.ReadDir(dir + sub)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("could not read directory \"%s\": %w", dir+sub, err)
		}
		for _, e := range entries {
			tli, start, err := postgres.ParseSegmentName(strings.TrimSuffix(e.Name, ".done"), size)
			if err != nil || tli != cur.Started.Timeline || start >= first {
				continue
			}
			if err := f.Remove(dir + sub + "/" + e.Name); err != nil {
				return fmt.Errorf("could not remove file \"%s\": %w", dir+sub+"/"+e.Name, err)
			}
		}
	}
	return nil
}

// syncDirs makes every directory of the target durable: entries of directories that got no file since were not part of any batch.
func syncDirs(l *target.Layout) error {
	roots := controls(l)
	for _, loc := range l.Spaces() {
		roots = append(roots, target.Place{FS: pfs.Local(), Path: loc})
	}
	if f, dir := l.WAL(); dir != l.Dir()+"/pg_wal" {
		roots = append(roots, target.Place{FS: f, Path: dir})
	}
	for _, r := range roots {
		if err := syncTree(r.FS, r.Path); err != nil {
			return err
		}
	}
	return nil
}

func syncTree(f pfs.FS, dir string) error {
	entries, err := f.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not read directory \"%s\": %w", dir, err)
	}
	for _, e := range entries {
		if e.Dir && e.Name != target.MarkerDir {
			if err := syncTree(f, dir+"/"+e.Name); err != nil {
				return err
			}
		}
	}
	if err := f.SyncDir(dir); err != nil {
		return fmt.Errorf("could not fsync directory \"%s\": %w", dir, err)
	}
	return nil
}
