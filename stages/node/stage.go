package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/storage"
	"polarcast/stages/target"
)

const stageName = "node"

// Config says which target becomes a node, and which.
type Config struct {
	stages.Env
	// Target and Mount are the same as the storage stage's.
	Storage storage.Config
	// Settings is what the node is configured with.
	Settings Settings
	// KeepMarker leaves the marker directory in place, for a caller whose own files are in it.
	KeepMarker bool
	// OnPhase, when set, is told what the stage is about to do.
	OnPhase func(Phase)
}

// Phase is a step of finishing a target that takes time, or that a person wants to know of.
type Phase int

const (
	PhaseSync     Phase = iota + 1 // directories are made durable
	PhaseManifest                  // backup_manifest gets its name
)

// Stage proves and finishes one target.
type Stage struct {
	cfg     Config
	waiting atomic.Value // string
}

// New returns a node stage.
func New(cfg Config) *Stage {
	cfg.Env = cfg.Env.WithDefaults()
	cfg.Storage.Env = cfg.Env
	return &Stage{cfg: cfg}
}

func (s *Stage) target() string { return s.cfg.Storage.Target.Name }

// Run returns nil when the target is a node.
func (s *Stage) Run(ctx context.Context) error {
	lease, err := stages.Lead(ctx, s.cfg.Env, stageName+"_"+s.target())
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := stages.WithLease(ctx, lease)
	defer cancel()
	s.waitFor("the source to be in backup mode")
	stop := stages.Report(ctx, s.cfg.Env, s.progress)
	defer stop()
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		return st.Prepared != nil && st.Session() != nil, st.Terminal()
	})
	if err != nil {
		return err
	}
	if t := st.Targets[s.target()]; t.Configured != nil {
		return nil
	}
	if st.Targets[s.target()].Written == nil {
		if st, err = s.prove(ctx); err != nil {
			return err
		}
	}
	s.waitFor("")
	return s.finish(ctx, st)
}

// waitFor says what the stage waits for, in its progress reports.
func (s *Stage) waitFor(what string) { s.waiting.Store(what) }

func (s *Stage) progress() pipeline.Progress {
	w, _ := s.waiting.Load().(string)
	return pipeline.Progress{Stage: stageName, Target: s.target(), Waiting: w}
}

// errComplete ends the reading of the index.
var errComplete = errors.New("complete")

// goal is the position of the index up to which everything must be accounted for; 0 while it is not known.
func goal(st pipeline.State) uint64 {
	cur := stages.Stopped(st)
	if cur == nil {
		return 0
	}
	g := cur.ReadDone.IndexSeq
	if st.Requested.WALMethod == "stream" {
		if !stages.Captured(st) {
			return 0
		}
		g = max(g, st.WALCaptured.IndexSeq)
	}
	return max(g, 1)
}

// prove reads the index until the target is complete, and says so in the event log.
func (s *Stage) prove(ctx context.Context) (pipeline.State, error) {
	a := newAudit()
	var st pipeline.State
	for {
		// What is there, then what comes, until the target is complete or it is certain that something was lost.
		g, drained, err := s.look(ctx)
		if err != nil {
			return st, err
		}
		err = s.cfg.Client.Index(ctx, s.cfg.Backup, a.seq+1, false, []string{s.target()}, a.message)
		if err != nil {
			return st, err
		}
		if g > 0 && a.complete(g) {
			break
		}
		if g == 0 {
			s.waitFor("the source to be read")
		} else {
			s.waitFor("what was read to be written")
		}
		if g > 0 && drained && a.seq >= g {
			return st, s.lost(ctx, a)
		}
		select {
		case <-time.After(pollIndex):
		case <-ctx.Done():
			return st, context.Cause(ctx)
		}
	}
	st, err := s.cfg.Log().State(ctx)
	if err != nil {
		return st, err
	}
	cur := stages.Stopped(st)
	err = s.cfg.AppendIf(ctx, stageName, messages.EventTargetWritten, messages.TargetWritten{Target: s.target(), Session: cur.Started.Session,
		Files: a.files, Bytes: a.bytes, WrittenBytes: a.changed, UnchangedBytes: a.same}, func(st pipeline.State) error {
		if st.Targets[s.target()].Written != nil {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
	if err != nil && !errors.Is(err, pipeline.ErrSkip) {
		return st, err
	}
	return s.cfg.Log().State(ctx)
}

// pollIndex is how often the index is read on while the target is being written.
const pollIndex = 50 * time.Millisecond

// look returns the goal, and whether the target had nothing left to consume at a moment when the goal was known already.
func (s *Stage) look(ctx context.Context) (uint64, bool, error) {
	st, err := s.cfg.Log().State(ctx)
	if err != nil {
		return 0, false, err
	}
	if err := st.Terminal(); err != nil {
		return 0, false, err
	}
	if t := st.Targets[s.target()]; t.Dropped != nil {
		return 0, false, fmt.Errorf("target %q was dropped from backup %q: %s", s.target(), s.cfg.Backup, t.Dropped.Reason)
	}
	g := goal(st)
	if g == 0 {
		return 0, false, nil
	}
	lag, err := s.cfg.Client.TargetLag(ctx, s.cfg.Backup, s.target())
	if err != nil {
		return 0, false, err
	}
	return g, lag.Pending == 0 && lag.AckPending == 0, nil
}

// maxNamed bounds the ranges that one event names.
const maxNamed = 1000

// lost names what the stream lost.
func (s *Stage) lost(ctx context.Context, a *audit) error {
	ranges, files := a.lost(maxNamed)
	if len(ranges) == 0 {
		return fmt.Errorf("target %q: the index names files whose seals are missing; start the backup again", s.target())
	}
	st, err := s.cfg.Log().State(ctx)
	if err != nil {
		return err
	}
	if err := s.cfg.Append(ctx, stageName, messages.EventChunksMissing, messages.ChunksMissing{Target: s.target(),
		Session: st.Session().Started.Session, Ranges: ranges}); err != nil {
		return err
	}
	r := ranges[0]
	return fmt.Errorf("target %q is not complete: %d files have parts that were lost between source and target, the first is \"%s\" at byte %d (%d bytes); "+
		"run the same command again to read them again", s.target(), files, r.Path, r.Offset, r.Length)
}

// layout returns where the target's files are.
func (s *Stage) layout(ctx context.Context, st pipeline.State) (*target.Layout, error) {
	return storage.OpenLayout(ctx, s.cfg.Storage, st)
}
