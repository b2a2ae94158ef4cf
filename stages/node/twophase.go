package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"polarcast/internal/postgres"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/target"
)

// removeFuture removes files of pg_twophase that belong to transactions which were prepared after the start of the backup. Replay makes them again from
// the WAL; PostgreSQL 17 and 18 take such a file for damaged, remove it under a wrong name, skip the record that would make it again, and so lose
// the prepared transaction. Older majors are not hit, and keep what their manifest lists.
func removeFuture(st pipeline.State, l *target.Layout) error {
	if postgres.Major(st.Prepared.ServerVersion) < 17 || stages.Stopped(st) == nil {
		return nil
	}
	next := uint64(0)
	for _, t := range controls(l) {
		dir := t.Path + "/pg_twophase"
		entries, err := t.FS.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("could not read directory \"%s\": %w", dir, err)
		}
		gone := map[string]bool{}
		for _, e := range entries {
			if _, ok := postgres.ParseTwoPhaseName(e.Name); !ok {
				continue
			}
			if next == 0 { // only a backup with prepared transactions needs to know
				if next, err = startXID(st, l); err != nil {
					return fmt.Errorf("could not tell which files of \"%s\" are from after the start of the backup: %w", dir, err)
				}
			}
			if postgres.FutureTwoPhase(e.Name, next) {
				gone["pg_twophase/"+e.Name] = true
			}
		}
		if len(gone) == 0 {
			continue
		}
		// The manifest first: when this is interrupted, the files are found again.
		if err := unlist(st, t, gone); err != nil {
			return err
		}
		for name := range gone {
			if err := t.FS.Remove(t.Path + "/" + name); err != nil {
				return fmt.Errorf("could not remove file \"%s/%s\": %w", t.Path, name, err)
			}
		}
		if err := t.FS.SyncDir(dir); err != nil {
			return fmt.Errorf("could not fsync directory \"%s\": %w", dir, err)
		}
	}
	return nil
}

// startXID returns the next transaction id of the checkpoint that the backup starts with: from the event log, or from its record in the WAL.
func startXID(st pipeline.State, l *target.Layout) (uint64, error) {
	cur := stages.Stopped(st)
	if cur.Started.NextXID != 0 {
		return cur.Started.NextXID, nil
	}
	text, err := os.ReadFile(l.Dir() + "/" + postgres.BackupLabelFile)
	if err != nil {
		return 0, err
	}
	label, err := postgres.ParseBackupLabel(text)
	if err != nil {
		return 0, err
	}
	f, dir := l.WAL()
	size := st.Prepared.WALSegmentSize
	rd, err := postgres.NewWALReader(walFiles{f, dir, cur.Started.Timeline, size}, size, label.CheckpointLSN, label.CheckpointLSN+1)
	if err != nil {
		return 0, err
	}
	defer rd.Close()
	var rec postgres.WALRecord
	if err := rd.Next(&rec); err != nil {
		return 0, err
	}
	c, err := rec.Checkpoint()
	return c.NextXID, err
}

// walFiles are the target's segments.
type walFiles struct {
	fs   pfs.FS
	dir  string
	tli  uint32
	size int64
}

func (w walFiles) OpenSegment(start postgres.LSN) (postgres.WALSegment, error) {
	return w.fs.Open(path.Join(w.dir, postgres.SegmentName(w.tli, start, w.size)), os.O_RDONLY, 0)
}

// unlist takes files out of the manifest of a tree, so that it says what is there. It writes another file and renames it.
func unlist(st pipeline.State, t target.Place, gone map[string]bool) error {
	name := t.Path + "/" + target.ManifestPending
	in, err := t.FS.Open(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not open file \"%s\": %w", name, err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("could not stat file \"%s\": %w", name, err)
	}
	out, err := t.FS.Open(name+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return fmt.Errorf("could not create file \"%s.new\": %w", name, err)
	}
	err = filterManifest(io.NewOffsetWriter(out, 0), io.NewSectionReader(in, 0, info.Size()), st, gone)
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("could not write file \"%s.new\": %w", name, err)
	}
	return rename(t.FS, name+".new", name, true)
}

// filterManifest copies a manifest without some of its files.
func filterManifest(out io.Writer, in io.Reader, st pipeline.State, gone map[string]bool) error {
	var id uint64
	if _, err := fmt.Sscan(st.Prepared.SystemID, &id); err != nil {
		return fmt.Errorf("system identifier %q: %w", st.Prepared.SystemID, err)
	}
	w, err := postgres.NewManifestWriter(out, postgres.ManifestOptions{Version: postgres.ManifestVersion(st.Prepared.ServerVersion), SystemID: id,
		ForceEncode: st.Requested.Options.Manifest == "force-encode"})
	if err != nil {
		return err
	}
	rd := postgres.NewManifestReader(func(m *postgres.ManifestFile) error {
		if gone[m.Path] {
			return nil
		}
		return w.AddFile(*m)
	})
	if _, err := io.Copy(rd, in); err != nil {
		return err
	}
	head, err := rd.Close()
	if err != nil {
		return err
	}
	return w.Close(head.WALRanges)
}
