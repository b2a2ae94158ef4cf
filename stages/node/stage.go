package node

import (
	"context"
	"sync/atomic"

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
	// Locate, when set, says where the target's files are, once they have been written: other processes may have been told more than this one.
	Locate func(st pipeline.State) target.Config
	// Settings is what the node is configured with.
	Settings Settings
	// KeepMarker leaves the marker directory in place, for a caller whose own files are in it.
	KeepMarker bool
	// Release, when set, gives back what its caller has mounted of the shared tree's disk. It is called before the node is started.
	Release func() error
	// OnPhase, when set, is told what the stage is about to do.
	OnPhase func(Phase)
}

// Phase is a step of finishing a target that takes time, or that a person wants to know of.
type Phase int

const (
	PhaseSync     Phase = iota + 1 // directories are made durable
	PhaseManifest                  // backup_manifest gets its name
	PhaseStart                     // the node is started
	PhaseStream                    // the node runs and is waited for
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
	ctx, cancel := lease.Context(ctx)
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
	if err := s.cfg.Settings.Check(st.Prepared); err != nil {
		return err
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

// layout returns where the target's files are.
func (s *Stage) layout(ctx context.Context, st pipeline.State) (*target.Layout, error) {
	cfg := s.cfg.Storage
	if s.cfg.Locate != nil {
		cfg.Target = s.cfg.Locate(st)
	}
	return storage.OpenLayout(ctx, cfg, st)
}
