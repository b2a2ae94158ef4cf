package checkpoint

import (
	"context"
	"fmt"
	"io"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
	"polarcast/stages/source"
)

// ending is what the end of backup mode gave.
type ending struct {
	end     postgres.LSN
	label   []byte // byte for byte
	spaces  []byte
	control *postgres.Control
}

// finish publishes what is known only at the end, and says so in the event log.
func (s *session) finish(ctx context.Context, e *ending) error {
	now := time.Now().Unix()
	if err := s.file(s.controlTree(), source.ControlFile, now, e.control.Bytes()); err != nil {
		return err
	}
	if err := s.file(messages.TreeLocal, postgres.BackupLabelFile, now, e.label); err != nil {
		return err
	}
	// A target whose tablespaces have places of their own has links already, and the map would lead them back to the source's places.
	if s.st.Requested.Options.Tar && len(e.spaces) > 0 {
		if err := s.file(messages.TreeLocal, postgres.TablespaceMapFile, now, e.spaces); err != nil {
			return err
		}
	}
	done := messages.ReadDone{Session: s.n, EndLSN: messages.LSN(e.end), EndTimeline: s.mode.Timeline}
	for _, name := range []string{postgres.ManifestFileName, postgres.BackupLabelFile, postgres.TablespaceMapFile} {
		s.prior.Seen(messages.TreeLocal, name)
		s.prior.Seen(messages.TreeShared, name)
	}
	err := s.prior.Gone(func(t messages.Tree, path string) error {
		done.Removed++
		return s.feed.Put(messages.Record{Kind: messages.KindRemove, Tree: t, Path: path})
	})
	if err != nil {
		return err
	}
	if err := s.feed.Sync(); err != nil {
		return err
	}
	if err := s.manifests(ctx, e, &done, now); err != nil {
		return err
	}
	if err := s.feed.Put(messages.Record{Kind: messages.KindEnd, Path: messages.EndPath}); err != nil {
		return err
	}
	tot, err := s.feed.Close()
	if err != nil {
		return err
	}
	done.IndexSeq, done.ChunkSeq = tot.IndexSeq, tot.ChunkSeq
	return s.announce(ctx, e, done)
}

// file publishes one small file.
func (s *session) file(tree messages.Tree, path string, mtime int64, content []byte) error {
	rec := messages.Record{Tree: tree, Path: path, MTime: mtime}
	if err := s.feed.StartFile(rec, int64(len(content))); err != nil {
		return err
	}
	if err := s.feed.Write(content); err != nil {
		return err
	}
	return s.feed.EndFile()
}

// manifests counts what the session published and, when one is wanted, publishes a manifest for each tree.
func (s *session) manifests(ctx context.Context, e *ending, done *messages.ReadDone, now int64) error {
	m, err := s.collect(ctx, s.first().Session, s.n)
	if err != nil {
		return err
	}
	defer m.close()
	done.Files, done.Bytes, done.Chunks, done.UnchangedBytes = m.files, m.bytes, m.chunks, m.same
	done.KeptBytes = m.kept
	done.SentBytes = s.f.read.total().Sent
	if done.ChecksumFailures, err = s.f.damaged(ctx, s.n); err != nil {
		return err
	}
	if !m.wanted {
		return nil
	}
	ranges := []postgres.ManifestWALRange{{Timeline: s.mode.Timeline, Start: postgres.LSN(s.first().StartLSN), End: e.end}}
	trees := []messages.Tree{messages.TreeLocal}
	if s.controlTree() == messages.TreeShared {
		trees = append(trees, messages.TreeShared)
	}
	for _, t := range trees {
		var wal []postgres.ManifestWALRange
		if t == s.controlTree() { // WAL is in PolarDB's shared tree: pg_verifybackup would look for it in the local one
			wal = ranges
		}
		n, err := s.manifest(m, t, wal, now)
		if err != nil {
			return err
		}
		done.ManifestFiles += n
	}
	return nil
}

// manifest publishes the manifest of one tree. It goes through a temporary file, since archives want to know a member's size before its bytes.
func (s *session) manifest(m *contents, t messages.Tree, wal []postgres.ManifestWALRange, mtime int64) (files int64, err error) {
	f, err := s.temp("manifest")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if files, err = m.write(f, t, s.st, wal); err != nil {
		return 0, fmt.Errorf("could not write the backup manifest: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("could not write the backup manifest: %w", err)
	}
	if err := s.feed.StartFile(messages.Record{Tree: t, Path: postgres.ManifestFileName, MTime: mtime}, size); err != nil {
		return 0, err
	}
	if _, err := io.Copy(feedWriter{s.feed}, io.NewSectionReader(f, 0, size)); err != nil {
		return 0, err
	}
	return files, s.feed.EndFile()
}

// feedWriter writes the file that the feed has open.
type feedWriter struct{ feed *feed.Feed }

func (w feedWriter) Write(p []byte) (int, error) {
	if err := w.feed.Write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// announce says in the event log that the session was read and closed.
func (s *session) announce(ctx context.Context, e *ending, done messages.ReadDone) error {
	f := s.f
	if err := f.cfg.Append(ctx, stageName, messages.EventFilesSealed, messages.FilesSealed{Session: s.n, Count: done.Files, Bytes: done.Bytes,
		IndexSeq: done.IndexSeq}); err != nil {
		return err
	}
	if err := f.cfg.Append(ctx, stageName, messages.EventReadDone, done); err != nil {
		return err
	}
	return f.cfg.AppendIf(ctx, stageName, messages.EventSessionStopped, messages.SessionStopped{Session: s.n, EndLSN: done.EndLSN,
		EndTimeline: done.EndTimeline, Label: e.label, TablespaceMap: e.spaces}, func(st pipeline.State) error {
		if c := st.Session(); c == nil || c.Stopped != nil {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
}
