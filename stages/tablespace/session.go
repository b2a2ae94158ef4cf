package tablespace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/feed"
)

// ManifestFile is the manifest of the backup that an incremental one builds on.
type ManifestFile interface {
	io.Reader
	io.Closer
}

// session reads one BASE_BACKUP to its end.
func (s *Stage) session(ctx context.Context, st pipeline.State, n uint32) (err error) {
	conn, err := s.cfg.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	sys, err := conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	if err := checkSame(st.Prepared, sys); err != nil {
		return err
	}
	var prior *feed.Prior
	if stages.NeedsRepair(st) {
		if err := s.cfg.ReleaseWritten(ctx, st); err != nil {
			return err
		}
	}
	if n > 1 {
		stop := s.report.idle(ctx, "the targets to write what the lost session sent")
		err := s.cfg.Drained(ctx, func(t string) {
			s.cfg.Logger.Info("waiting for a target to write what the lost session sent", "target", t)
		})
		stop()
		if err != nil {
			return err
		}
	}
	if prior, err = feed.LoadPrior(ctx, s.cfg.Client, s.cfg.Backup, n, s.cfg.Missing(st), stages.Offers(st), s.cfg.SpillDir); err != nil {
		return err
	}
	defer prior.Close()
	if st.Requested.Options.NoShared {
		files, err := s.readSkeleton(ctx)
		if err == nil {
			return s.skeletonSession(ctx, st, n, sys, files, prior)
		}
		if !errors.Is(err, errNoSkeleton) {
			return err
		}
		s.cfg.Logger.Info("taking the local tree from a base backup", "reason", err)
	}
	command, err := s.command(ctx, conn, st)
	if err != nil {
		return err
	}
	wal, err := s.reserve(ctx, st)
	if err != nil {
		return err
	}
	defer wal.close()
	ask := s.needsXID(ctx, conn)
	stop := s.report.idle(ctx, "the server's checkpoint")
	bb, err := conn.BaseBackup(ctx, command)
	stop()
	if err != nil {
		return err
	}
	if bb.Polar && st.Prepared.Polar == nil {
		return fmt.Errorf("the server calls itself PostgreSQL %s, but sends a backup of PolarDB: this version of it is not known", conn.ServerVersionString())
	}
	started := messages.SessionStarted{Session: n, Source: "stream", StartLSN: messages.LSN(bb.StartLSN), Timeline: bb.StartTimeline}
	for _, t := range bb.Tablespaces {
		started.Tablespaces = append(started.Tablespaces, messages.Tablespace{OID: t.OID, Location: t.Location, SizeKB: t.SizeKB, Shared: t.Shared})
	}
	s.countShared(ctx, st, started.Tablespaces)
	if ask {
		started.NextXID = s.startXID(ctx, bb.StartLSN)
	}
	if err := s.started(ctx, started); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreSkip(s.lost(ctx, n, err)))
		}
	}()
	return s.read(ctx, st, started, bb, prior, wal)
}

// started notes that a session has begun, unless another process has begun the same one.
func (s *Stage) started(ctx context.Context, started messages.SessionStarted) error {
	err := s.cfg.AppendIf(ctx, stageName, messages.EventSessionStarted, started, func(st pipeline.State) error {
		if cur := st.Session(); cur != nil && cur.Started.Session >= started.Session {
			return fmt.Errorf("session %d of backup %q was started by another process", started.Session, s.cfg.Backup)
		}
		return st.Terminal()
	})
	if err == nil && s.cfg.OnSession != nil {
		s.cfg.OnSession(started)
	}
	return err
}

func ignoreSkip(err error) error {
	if errors.Is(err, pipeline.ErrSkip) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (s *Stage) command(ctx context.Context, conn *postgres.Conn, st pipeline.State) (string, error) {
	o := st.Requested.Options
	if o.IncrementalManifest {
		if s.cfg.OldManifest == nil {
			return "", errors.New("the backup is incremental, but this process was not given the manifest of the backup that it builds on: add --incremental=OLDMANIFEST")
		}
		m, err := s.cfg.OldManifest()
		if err != nil {
			return "", err
		}
		defer m.Close()
		if err := conn.UploadManifest(ctx, m); err != nil {
			return "", err
		}
	}
	return postgres.BuildBaseBackup(conn.ServerVersion(), BaseBackupOptions(st))
}

// BaseBackupOptions translates what was asked for into the options of the command.
func BaseBackupOptions(st pipeline.State) postgres.BaseBackupOptions {
	r := st.Requested
	o := r.Options
	shared := st.Prepared != nil && st.Prepared.Polar != nil && st.Prepared.Polar.SharedStorage
	bo := postgres.BaseBackupOptions{
		Label: r.Label, Progress: o.EstimateSize, Fast: o.Checkpoint == "fast",
		WAL: r.WALMethod == "fetch" && !shared, NoWait: r.WALMethod != "none",
		MaxRate: o.MaxRate, VerifyChecksums: o.VerifyChecksums,
		Manifest: o.Manifest, ManifestChecksums: o.ManifestChecksums, Incremental: o.IncrementalManifest,
		// In shared-storage mode the map is empty and the tablespaces' contents are dropped by PolarDB 15's server: data would be lost.
		TablespaceMap: o.Tar && !shared,
	}
	if c := o.ServerCompression; c != "" {
		bo.Compression, bo.CompressionDetail, bo.EmptyDetail = strings.Cut(c, ":")
	}
	return bo
}

// read moves the whole answer of the server into the pipeline.
func (s *Stage) read(ctx context.Context, st pipeline.State, started messages.SessionStarted, bb *postgres.BaseBackup, prior *feed.Prior, wal *fetched) error {
	n := started.Session
	check := newManifestCheck(st.Requested.Options.ManifestChecksums)
	part := newPart(st.Requested.Options)
	if stages.SharedStorage(st) {
		split, err := newManifests(s.cfg.SpillDir, st)
		if err != nil {
			return err
		}
		defer split.Close()
		check.split = split
	}
	codec, level := messages.ParseCodec(st.Requested.Codec)
	fd, err := feed.New(ctx, feed.Config{
		Client: s.cfg.Client, Backup: s.cfg.Backup, Session: n, Subject: pipeline.SubjectData, Codec: codec, Level: level,
		Workers: s.cfg.Workers, Prior: prior, Digest: manifestHash(st.Requested.Options.ManifestChecksums), OnSeal: check.sealed,
		Throttle: s.cfg.Throttle, Strict: s.cfg.Strict,
	})
	if err != nil {
		return err
	}
	r := &reader{feed: fd, prior: prior, shared: st.Prepared.Polar != nil, check: check, part: part,
		twoPhase: twoPhase{log: s.cfg.Logger, st: st, spill: s.cfg.SpillDir, nextXID: started.NextXID}}
	defer func() { _ = r.twoPhase.Close() }()
	stop := s.progress(ctx, n, r, bb)
	defer stop()
	err = r.all(bb)
	if errors.Is(err, errLocalOnly) {
		return s.close(ctx, fd, prior, messages.ReadDone{Session: n, EndLSN: messages.LSN(bb.StartLSN), EndTimeline: bb.StartTimeline})
	}
	if err != nil {
		fd.Salvage(err)
		return err
	}
	end, endTLI, err := bb.Finish()
	badSums := errors.Is(err, postgres.ErrChecksumFailure)
	if err != nil && !badSums {
		fd.Salvage(err)
		return err
	}
	if err := check.finish(); err != nil {
		fd.Abort(err)
		return err
	}
	if err := wal.copy(ctx, fd, bb.StartLSN, end, bb.StartTimeline, st.Prepared.WALSegmentSize); err != nil {
		fd.Abort(err)
		return err
	}
	done := messages.ReadDone{Session: n, EndLSN: messages.LSN(end), EndTimeline: endTLI, ManifestChecked: check.present, ManifestFiles: check.files}
	if badSums {
		done.ChecksumFailures = 1
	}
	return s.close(ctx, fd, prior, done)
}

// close publishes what an earlier session had and this one has not, the end, and the result.
func (s *Stage) close(ctx context.Context, fd *feed.Feed, prior *feed.Prior, done messages.ReadDone) error {
	err := prior.Gone(func(t messages.Tree, path string) error {
		done.Removed++
		return fd.Put(messages.Record{Kind: messages.KindRemove, Tree: t, Path: path})
	})
	if err != nil {
		fd.Abort(err)
		return err
	}
	if err := fd.Put(messages.Record{Kind: messages.KindEnd, Path: messages.EndPath}); err != nil {
		fd.Abort(err)
		return err
	}
	tot, err := fd.Close()
	if err != nil {
		return err
	}
	done.Files, done.Bytes, done.SentBytes, done.Chunks = tot.Files, tot.ReadBytes, tot.SentBytes, tot.Chunks
	done.UnchangedBytes, done.IndexSeq, done.ChunkSeq = tot.UnchangedByte, tot.IndexSeq, tot.ChunkSeq
	if err := s.cfg.Append(ctx, stageName, messages.EventFilesSealed, messages.FilesSealed{Session: done.Session, Count: tot.Sealed, Bytes: tot.SealedSize,
		Digest: fmt.Sprintf("%x", tot.SealDigest), IndexSeq: tot.IndexSeq}); err != nil {
		return err
	}
	return s.cfg.Append(ctx, stageName, messages.EventReadDone, done)
}

// progress reports how far a session is until the returned function is called.
func (s *Stage) progress(ctx context.Context, session uint32, r *reader, bb *postgres.BaseBackup) func() {
	var total int64
	for _, t := range bb.Tablespaces {
		total += max(t.SizeKB, 0) * 1024
	}
	return s.report.reading(ctx, func() pipeline.Progress {
		tot := r.feed.Totals()
		read, spaces, file := r.position()
		return pipeline.Progress{Session: session, Read: read, Sent: tot.SentBytes, Files: tot.Files, Total: total, Tablespaces: spaces,
			TablespacesTotal: len(bb.Tablespaces), File: file, Unchanged: tot.UnchangedByte, Waiting: waitsFor(r.feed.Waiting())}
	})
}
