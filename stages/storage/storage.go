package storage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/target"
)

const stageName = "storage"

// SyncMethod is how a batch is made durable.
type SyncMethod string

const (
	SyncFsync SyncMethod = "fsync"  // each file and directory
	SyncFS    SyncMethod = "syncfs" // the whole file system, Linux only
	SyncNone  SyncMethod = "none"   // not at all (--no-sync)
)

// Limits of one batch.
const (
	batchBytes    = 32 << 20
	batchMessages = 2048
	batchAge      = 2 * time.Second
	idleCommit    = 50 * time.Millisecond
)

// Config says which target a storage stage writes.
type Config struct {
	stages.Env
	Target target.Config
	Sync   SyncMethod
	// MaxBytesInFlight bounds the messages that are held; 0 means 24 MiB.
	MaxBytesInFlight int64
	// NewSink, when set, replaces the sink for the target's format (tar to standard output, say).
	NewSink func(*target.Layout) (Sink, error)
	// Throttle, when set, is told the size of every message in bytes before it is applied, and holds it back to keep a rate.
	Throttle func(ctx context.Context, bytes int) error
	// Mount, when set, attaches the disk of the shared tree before the first write, unless Target.SharedFS is there. Each layout that it is
	// called for gives its file system back when it is closed.
	Mount func(context.Context) (pfs.FS, error)
	// ForceMount says that the mounted disk need not be empty when the target is begun.
	ForceMount bool
}

// Sink puts records where they belong. Apply is called by one goroutine.
type Sink interface {
	// Apply writes one record into the batch.
	Apply(b *Batch, r *messages.Record) error
	// Commit makes a batch durable. It runs beside Apply of the next batch.
	Commit(ctx context.Context, b *Batch) error
	// Close gives up all resources without making anything durable.
	Close() error
}

// Stage is one storage process of a target.
type Stage struct {
	cfg     Config
	segment int64 // bytes of a WAL segment
	loop    atomic.Pointer[loop]
}

// New returns a storage stage.
func New(cfg Config) *Stage {
	cfg.Env = cfg.Env.WithDefaults()
	if cfg.Sync == "" {
		cfg.Sync = SyncFsync
	}
	if cfg.MaxBytesInFlight == 0 {
		cfg.MaxBytesInFlight = 24 << 20
	}
	return &Stage{cfg: cfg}
}

// errWritten ends the loop when the node stage has found the target complete.
var errWritten = errors.New("target is written")

// Run writes the target until it is complete. It returns nil then, and an error when the backup failed or a write did.
func (s *Stage) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go s.watch(ctx, cancel)
	defer func() {
		if errors.Is(context.Cause(ctx), errWritten) || errors.Is(err, errWritten) || err != nil && ctx.Err() == nil && s.written(ctx) {
			err = nil
		} else if c := context.Cause(ctx); c != nil && errors.Is(err, context.Canceled) {
			err = c
		}
	}()
	stop := stages.Report(ctx, s.cfg.Env, s.progress)
	defer stop()
	if err := s.survey(ctx); err != nil {
		return err
	}
	st, err := s.waitStarted(ctx)
	if err != nil {
		return err
	}
	s.segment = st.Prepared.WALSegmentSize
	defer s.cfg.Client.ShareTarget(ctx, s.cfg.Backup, s.cfg.Target.Name, s.cfg.Instance, stages.Dead)()
	for {
		if err = s.write(ctx, st); !errors.Is(err, errStopped) || ctx.Err() != nil {
			return err
		}
		s.cfg.Logger.Warn("taking chunks anew: "+err.Error(), "target", s.cfg.Target.Name)
		if st, err = s.cfg.Log().State(ctx); err != nil {
			return err
		}
	}
}

// write takes chunks and writes them until an error, of which the stage's end is one.
func (s *Stage) write(ctx context.Context, st pipeline.State) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	layout, sink, err := s.open(ctx, st)
	if err != nil {
		return err
	}
	defer layout.Close()
	defer sink.Close()
	cons, err := s.cfg.Client.Consumer(ctx, s.cfg.Backup, s.cfg.Target.Name, pipeline.ConsumerOptions{MaxBytesInFlight: s.cfg.MaxBytesInFlight})
	if err != nil {
		return err
	}
	defer cons.Close()
	s.cfg.Logger.Debug("writing", "target", s.cfg.Target.Name, "directory", layout.Dir())
	l := newLoop(s, layout, sink, cons)
	l.learn(st)
	s.loop.Store(l)
	return l.run(ctx)
}

// written reports whether the target was proven complete: then whatever failed here does not matter.
func (s *Stage) written(ctx context.Context) bool {
	st, err := s.cfg.Log().State(ctx)
	return err == nil && st.Targets[s.cfg.Target.Name].Written != nil
}

// watch ends the stage when its target is complete or the backup is over.
func (s *Stage) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	_, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		t := st.Targets[s.cfg.Target.Name]
		switch {
		case t.Written != nil && st.Completed != nil, t.Configured != nil:
			return true, nil
		case t.Dropped != nil:
			return false, fmt.Errorf("target %q was dropped from backup %q: %s", s.cfg.Target.Name, s.cfg.Backup, t.Dropped.Reason)
		case t.Failed != nil:
			return false, fmt.Errorf("target %q of backup %q failed: %s", s.cfg.Target.Name, s.cfg.Backup, t.Failed.Error)
		}
		return t.Written != nil, st.Terminal()
	})
	if err == nil {
		err = errWritten
	}
	cancel(err)
}

// waitStarted returns when it is known what the source is and which tablespaces it has.
func (s *Stage) waitStarted(ctx context.Context) (pipeline.State, error) {
	return s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		return st.Prepared != nil && st.Session() != nil, st.Terminal()
	})
}

func (s *Stage) open(ctx context.Context, st pipeline.State) (*target.Layout, Sink, error) {
	layout, err := OpenLayout(ctx, s.cfg, st)
	if err != nil {
		return nil, nil, err
	}
	if s.cfg.NewSink != nil {
		sink, err := s.cfg.NewSink(layout)
		return layout, sink, errors.Join(err, closeOn(err, layout))
	}
	alone := func() (func(), error) {
		lease, err := stages.Lead(ctx, s.cfg.Env, "sectors_"+s.cfg.Target.Name)
		if err != nil {
			return nil, err
		}
		return lease.Release, nil
	}
	return layout, newPlain(layout, s.cfg.Sync, alone, newPulse(ctx)), nil
}

// OpenLayout takes the target's directories for the backup and returns where things go.
func OpenLayout(ctx context.Context, cfg Config, st pipeline.State) (*target.Layout, error) {
	tc := cfg.Target
	tc.FileMode, tc.DirMode = stages.FileModes(st)
	shared := stages.SharedStorage(st) && !st.Requested.Options.NoShared && !tc.NoShared
	var mounted pfs.FS
	if shared && tc.SharedFS == nil && cfg.Mount != nil {
		var err error
		if mounted, err = cfg.Mount(ctx); err != nil {
			return nil, err
		}
		tc.SharedFS = mounted
	}
	layout, err := target.NewLayout(tc, shared, st.Session().Started.Tablespaces)
	if err != nil {
		if mounted != nil {
			err = errors.Join(err, mounted.Close())
		}
		return nil, err
	}
	layout.Attach(mounted)
	if tc.Dir == "" || tc.Dir == "-" {
		return layout, nil
	}
	err = nil
	if mounted != nil && !cfg.ForceMount {
		err = checkFresh(ctx, cfg, mounted)
	}
	if err == nil {
		err = checkSpace(cfg, st, layout)
	}
	if err != nil {
		return nil, errors.Join(err, layout.Close())
	}
	if err := layout.Open(ctx, cfg.Env); err != nil {
		return nil, errors.Join(err, layout.Close())
	}
	return layout, nil
}

// checkFresh refuses a disk that is in use, unless the target has begun on it.
func checkFresh(ctx context.Context, cfg Config, f pfs.FS) error {
	used := target.CheckFresh(f)
	if used == nil {
		return nil
	}
	// Another process of the target may have begun right now, after it had said so in the event log.
	if st, err := cfg.Log().State(ctx); err != nil || st.Targets[cfg.Target.Name].Opened != nil {
		return err
	}
	return used
}

func closeOn(err error, l *target.Layout) error {
	if err == nil {
		return nil
	}
	return l.Close()
}
