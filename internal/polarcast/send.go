package polarcast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"polarcast/internal/cli/basebackup"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/checkpoint"
)

// The stages, by the names that commands and events have for them.
const (
	StageCheckpoint = "checkpoint"
	StageTablespace = "tablespace"
	StageWAL        = "wal"
	StageStorage    = "storage"
	StageNode       = "node"
)

// Sender runs stages of a backup's source.
type Sender struct {
	Client *pipeline.Client
	// Backup is the id. It is made by the stage "checkpoint"; the others wait for it.
	Backup string
	// Stages to run: some of StageCheckpoint, StageTablespace and StageWAL.
	Stages []string
	Source *Source
	// Options are those of pg_basebackup and of the source.
	Options *basebackup.Options
	// Targets of a new backup.
	Targets []string
	// Command is the command line for people; no secrets.
	Command string
	// Keep holds chunks for targets that join late.
	Keep time.Duration
	// MaxLag is how many bytes of chunks a target may be behind before it is dropped; 0 is no bound.
	MaxLag int64
	// Buffer bounds the chunk stream, in bytes; 0 is 1 GiB.
	Buffer int64
	// Replicas of the streams; 0 is what the client was told.
	Replicas int
	// Retries is how often in a row a lost connection to the server is made again.
	Retries int
	// Tar sends in an order that targets of format tar can write.
	Tar bool
	// PFS says how the source's disk is mounted when its files are read through PFS: library, host id, cluster.
	PFS pfs.MountOptions
	// SpillDir receives temporary files; "" is the system's directory for them.
	SpillDir string
	Logger   *slog.Logger

	env      stages.Env
	prepared messages.Prepared
}

// DefaultBuffer is the chunk stream's bound when nothing else is said, in bytes.
const DefaultBuffer = 1 << 30

// Run returns nil when the stages have done their part. With the stage checkpoint that is when every target is a node.
func (s *Sender) Run(ctx context.Context) error {
	if s.Buffer == 0 {
		s.Buffer = DefaultBuffer
	}
	s.env = stages.Env{Client: s.Client, Backup: s.Backup, Logger: s.Logger}.WithDefaults()
	s.Logger = s.env.Logger
	if err := s.check(); err != nil {
		return err
	}
	leads := s.has(StageCheckpoint)
	done := false
	var err error
	if leads {
		done, err = s.create(ctx)
	} else {
		err = waitForBackup(ctx, s.env)
	}
	if err != nil {
		return err
	}
	if !done {
		if err := s.run(ctx); err != nil {
			s.tellStopped(ctx, err)
			return err
		}
	}
	if !leads {
		return nil
	}
	return s.end(ctx)
}

func (s *Sender) has(stage string) bool { return slices.Contains(s.Stages, stage) }

// check refuses what is wrong whatever the server says.
func (s *Sender) check() error {
	if err := pipeline.ValidName("backup", s.Backup); err != nil {
		return err
	}
	if !s.has(StageCheckpoint) {
		return nil
	}
	for i, t := range s.Targets {
		if err := pipeline.ValidName("target", t); err != nil {
			return err
		}
		if slices.Contains(s.Targets[:i], t) {
			return fmt.Errorf("target \"%s\" is named twice", t)
		}
	}
	switch {
	case len(s.Targets) == 0:
		return errors.New("no target: name at least one with --target, and start \"polarcast receive\" for it on its host")
	case s.MaxLag != 0 && s.MaxLag >= s.Buffer:
		return fmt.Errorf("--max-lag (%d bytes) must be less than --buffer (%d bytes): a full buffer stops the source before a target is that far behind", s.MaxLag, s.Buffer)
	}
	return nil
}

// create makes the backup, or finds the one that this command began before. done says that there is nothing left to read.
func (s *Sender) create(ctx context.Context) (done bool, err error) {
	if err := s.identify(ctx); err != nil {
		return false, err
	}
	st, err := s.env.Log().State(ctx)
	if err != nil {
		return false, err
	}
	if err := s.chooseSource(ctx, st); err != nil {
		return false, err
	}
	req := s.request()
	if st.Requested == nil {
		err := s.Client.CreateBackup(ctx, s.Backup, req, pipeline.StreamOptions{MaxBytes: s.Buffer, Keep: s.Keep, Targets: req.Targets, Replicas: s.Replicas})
		if err != nil {
			return false, err
		}
		if st, err = s.env.Log().State(ctx); err != nil {
			return false, err
		}
	}
	if err := s.same(ctx, st, req); err != nil || st.Completed != nil {
		return true, err
	}
	if err := s.Client.HasStreams(ctx, s.Backup); err != nil {
		return true, fmt.Errorf("backup \"%s\" cannot be continued: %w; remove it (polarcast remove --force %s) and the directories of its targets, and begin it anew",
			s.Backup, err, s.Backup)
	}
	return false, s.Client.Enlarge(ctx, s.Backup, s.Buffer)
}

// request is what is asked for.
func (s *Sender) request() messages.Requested {
	req := Request(s.Options, s.Targets, s.Command)
	if s.prepared.ServerVersion < 130000 {
		req.Options.Manifest = "no" // manifests are new in 13, as pg_basebackup has it
	}
	if req.WALMethod == "stream" && req.Slot == "" && !req.NoSlot {
		req.Slot, req.OwnSlot, req.CreateSlot = SlotName(s.Backup), true, true
	}
	req.Options.Tar = s.Tar
	req.Keep, req.MaxLag = messages.Duration(s.Keep), s.MaxLag
	req.Fingerprint = fingerprint(req)
	return req
}

// identify asks the server what it is. Nothing is written before it has answered.
func (s *Sender) identify(ctx context.Context) error {
	conn, err := s.Source.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	s.prepared, err = checkpoint.Identify(ctx, conn)
	return err
}

// same refuses to go on with a backup that is not the one that was asked for.
func (s *Sender) same(ctx context.Context, st pipeline.State, req messages.Requested) error {
	if err := st.Terminal(); err != nil {
		return fmt.Errorf("backup \"%s\" cannot be continued: %w; use another id, or remove it first: polarcast remove %s", s.Backup, err, s.Backup)
	}
	if st.Requested.Fingerprint != req.Fingerprint {
		return fmt.Errorf("backup \"%s\" was begun with other options (%s): repeat that command to continue it, use another id, or remove it first: polarcast remove %s",
			s.Backup, st.Requested.Command, s.Backup)
	}
	if st.Prepared != nil && st.Prepared.SystemID != s.prepared.SystemID {
		return fmt.Errorf("backup \"%s\" is of another server (system identifier %s, this one is %s): connect to that server to continue it, or use another id",
			s.Backup, st.Prepared.SystemID, s.prepared.SystemID)
	}
	if st.Completed == nil {
		return nil
	}
	// A complete backup whose streams are there was not ended: whoever sent it was killed right before. Otherwise it is an old one.
	kept, err := s.Client.Kept(ctx, s.Backup)
	if errors.Is(err, pipeline.ErrNoStream) || kept > 0 {
		return fmt.Errorf("backup \"%s\" is complete since %s: use another id, or remove it first: polarcast remove %s", s.Backup,
			st.UpdatedAt.Local().Format(time.DateTime), s.Backup)
	}
	return err
}

// end removes what a complete backup does not need any more.
func (s *Sender) end(ctx context.Context) error {
	st, err := s.env.Log().State(ctx)
	if err != nil {
		return err
	}
	if err := checkpoint.DropOwnSlot(ctx, s.Source.Connect, st.Requested); err != nil {
		return fmt.Errorf("the backup is complete, but %w", err)
	}
	if keep := time.Duration(st.Requested.Keep); keep > 0 {
		s.Logger.Info("backup is complete; its chunks are kept for targets that join late", "backup", s.Backup, "keep", keep)
		return s.Client.KeepFor(ctx, s.Backup, keep)
	}
	if err := s.Client.DropStreams(ctx, s.Backup); err != nil {
		return fmt.Errorf("the backup is complete, but its streams are left: %w", err)
	}
	s.Logger.Info("backup is complete", "backup", s.Backup)
	return nil
}
