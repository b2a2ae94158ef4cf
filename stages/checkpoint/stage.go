package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
)

const stageName = "checkpoint"

// Config says where the source is.
type Config struct {
	stages.Env
	// Connect opens a replication connection to the source.
	Connect func(ctx context.Context) (*postgres.Conn, error)
	// OnSlot, when set, is told the name of a slot that was created.
	OnSlot func(name string, temporary bool)
	// Reconnects is how often in a row a connection that is lost before the first session is made again. The drop-in command uses 0: it is run again by its
	// user.
	Reconnects int
	// RetryDelay is the pause before a further connection or session; 0 means 5 s.
	RetryDelay time.Duration
}

// Stage opens and closes the sessions of one backup.
type Stage struct {
	cfg     Config
	waiting atomic.Value             // string
	more    func(*pipeline.Progress) // adds to a report; nil adds nothing
}

// New returns a checkpoint stage.
func New(cfg Config) *Stage {
	cfg.Env = cfg.Env.WithDefaults()
	if cfg.RetryDelay == 0 {
		cfg.RetryDelay = 5 * time.Second
	}
	return &Stage{cfg: cfg}
}

// Run returns nil when the backup is complete.
func (s *Stage) Run(ctx context.Context) error {
	lease, err := stages.Lead(ctx, s.cfg.Env, stageName)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.Context(ctx)
	defer cancel()
	return s.run(ctx, s.stop)
}

// run prepares the backup, has session open and close what is read, and completes it. What it made on the server ends with the backup, however
// that ends; a process that is only stopped leaves it for the next one.
func (s *Stage) run(ctx context.Context, session func(context.Context) error) (err error) {
	report := stages.Report(ctx, s.cfg.Env, s.progress)
	defer report()
	s.waitFor("the backup to be requested")
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Requested != nil, nil })
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, pipeline.ErrCancelled) || errors.Is(err, pipeline.ErrFailed) || err == nil {
			err = errors.Join(err, s.dropOwnSlot(ctx, st.Requested))
		}
	}()
	if st.Completed != nil {
		return nil
	}
	if err := st.Terminal(); err != nil {
		return err
	}
	for lost := 0; st.Prepared == nil; {
		err := s.prepare(ctx, st)
		if err == nil {
			break
		}
		if lost++; ctx.Err() != nil || lost > s.cfg.Reconnects || !postgres.IsConnectionLost(err) {
			return err
		}
		s.cfg.Logger.Warn("connection to the server lost, connecting again", "error", err)
		if err := pause(ctx, s.cfg.RetryDelay); err != nil {
			return err
		}
		if st, err = s.cfg.Log().State(ctx); err != nil { // it may have noted that it makes a slot
			return err
		}
	}
	s.waitFor("the source to be read")
	for again := true; again; {
		if err := session(ctx); err != nil {
			return err
		}
		if again, err = s.complete(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waitFor says what the stage waits for, in its progress reports.
func (s *Stage) waitFor(what string) { s.waiting.Store(what) }

func (s *Stage) progress() pipeline.Progress {
	w, _ := s.waiting.Load().(string)
	p := pipeline.Progress{Stage: stageName, Waiting: w}
	if s.more != nil {
		s.more(&p)
	}
	return p
}

// prepare identifies the server and makes the slot.
func (s *Stage) prepare(ctx context.Context, st pipeline.State) error {
	conn, err := s.cfg.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	p, err := Identify(ctx, conn)
	if err != nil {
		return err
	}
	r := st.Requested
	if r.Slot != "" && r.CreateSlot && st.Slot == nil {
		if err := s.createSlot(ctx, conn, st); err != nil {
			return err
		}
	}
	p.Slot = r.Slot
	conn.Close() // before the other stages go on: the server may have room for no more than their connections
	return s.cfg.AppendIf(ctx, stageName, messages.EventPrepared, p, func(st pipeline.State) error {
		if st.Prepared != nil {
			return errors.New("the backup was prepared by another process")
		}
		return st.Terminal()
	})
}

// Identify asks a server what a backup needs to know of it.
func Identify(ctx context.Context, conn *postgres.Conn) (messages.Prepared, error) {
	var p messages.Prepared
	p.ServerVersion = conn.ServerVersion()
	p.VersionString = conn.ServerVersionString()
	if p.ServerVersion < 110000 {
		return p, fmt.Errorf("incompatible server version %s: polarcast copies PostgreSQL and PolarDB 11 and later", p.VersionString)
	}
	sys, err := conn.IdentifySystem(ctx)
	if err != nil {
		return p, err
	}
	p.SystemID, p.Timeline = sys.ID, sys.Timeline
	seg, err := conn.Show(ctx, "wal_segment_size")
	if err != nil {
		return p, err
	}
	if p.WALSegmentSize, err = postgres.ParseMemory(seg); err != nil {
		return p, fmt.Errorf("the server's wal_segment_size could not be understood: %w", err)
	}
	if n := p.WALSegmentSize; n < 1<<20 || n > 1<<30 || n&(n-1) != 0 {
		return p, fmt.Errorf("WAL segment size must be a power of two between 1 MB and 1 GB, but the remote server reported a value of %d bytes", n)
	}
	mode, err := conn.Show(ctx, "data_directory_mode")
	if err != nil {
		return p, err
	}
	if _, err := fmt.Sscanf(mode, "%o", &p.DataDirMode); err != nil {
		return p, fmt.Errorf("the server's data_directory_mode %q could not be understood", mode)
	}
	p.Polar = identifyPolar(ctx, conn)
	return p, nil
}

// identifyPolar returns nil for PostgreSQL, which does not know the settings. Asking it leaves an error in its log, and the replication protocol has no
// other way: those that are surely no PolarDB are not asked. The versions of PolarDB are plain numbers, and there was none of 12 and 13.
func identifyPolar(ctx context.Context, conn *postgres.Conn) *messages.Polar {
	v := conn.ServerVersionString()
	if major := conn.ServerVersion() / 10000; major == 12 || major == 13 || strings.Contains(v, "(Debian ") || strings.Contains(v, "(Ubuntu ") {
		return nil
	}
	mode, err := conn.Show(ctx, "polar_enable_shared_storage_mode")
	if err != nil {
		return nil
	}
	p := &messages.Polar{SharedStorage: mode == "on"}
	// Each of these is open to every role; one that a version does not have stays empty.
	p.Version, _ = conn.Show(ctx, "polar_version")
	if p.DataDir, _ = conn.Show(ctx, "polar_datadir"); pfs.IsRelative(p.DataDir) {
		// A role that may not see data_directory leaves it as it is.
		if local, err := conn.Show(ctx, "data_directory"); err == nil {
			p.DataDir = pfs.JoinRelative(local, p.DataDir)
		}
	}
	p.DiskName, _ = conn.Show(ctx, "polar_disk_name")
	p.Cluster, _ = conn.Show(ctx, "polar_storage_cluster_name")
	if id, err := conn.Show(ctx, "polar_hostid"); err == nil {
		_, _ = fmt.Sscan(strings.TrimSpace(id), &p.HostID)
	}
	return p
}

// stop closes the session when all of it was read.
func (s *Stage) stop(ctx context.Context) error {
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		cur := st.Session()
		return cur != nil && cur.ReadDone != nil && !stages.NeedsRepair(st), st.Terminal()
	})
	if err != nil {
		return err
	}
	cur := st.Session()
	if cur.Stopped != nil {
		return nil
	}
	return s.cfg.AppendIf(ctx, stageName, messages.EventSessionStopped, messages.SessionStopped{Session: cur.Started.Session,
		EndLSN: cur.ReadDone.EndLSN, EndTimeline: cur.ReadDone.EndTimeline}, func(st pipeline.State) error {
		if c := st.Session(); c == nil || c.Stopped != nil {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
}

var errNoTarget = errors.New("no target is left: all of them failed or were dropped")

// lostTooOften names what was lost last.
func lostTooOften(st pipeline.State) error {
	for name, t := range st.Targets {
		if n := len(t.Missing); n > 0 && len(t.Missing[n-1].Ranges) > 0 {
			r := t.Missing[n-1].Ranges[0]
			return fmt.Errorf("%w %d times; target \"%s\" misses %d parts of it, the first is \"%s\" at byte %d (%d bytes): look after the NATS server's store",
				stages.ErrLost, stages.Repairs(st), name, len(t.Missing[n-1].Ranges), r.Path, r.Offset, r.Length)
		}
	}
	return stages.ErrLost
}

// fail ends a backup that nothing can complete any more. It returns the cause.
func (s *Stage) fail(ctx context.Context, cause error) error {
	err := s.cfg.AppendIf(ctx, stageName, messages.EventFailed, messages.Failed{Stage: stageName, Error: cause.Error()}, func(st pipeline.State) error {
		if st.Completed != nil || st.Terminal() != nil {
			return pipeline.ErrSkip
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", pipeline.ErrFailed, cause)
}

// complete ends the backup when every target is a node. again says that there is a further session instead, because parts were lost.
func (s *Stage) complete(ctx context.Context) (again bool, err error) {
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		if stages.Repairs(st) > stages.MaxRepairs {
			return false, lostTooOften(st)
		}
		if again = stages.NeedsRepair(st) || st.Session().ReadDone == nil || st.Session().Stopped == nil; again {
			return true, st.Terminal()
		}
		live := stages.LiveTargets(st)
		if len(live) == 0 {
			return false, errNoTarget
		}
		var open []string
		for _, n := range live {
			if st.Targets[n].Configured == nil {
				open = append(open, n)
			}
		}
		slices.Sort(open)
		s.waitFor("targets " + strings.Join(open, ", "))
		return len(open) == 0, st.Terminal()
	})
	if errors.Is(err, errNoTarget) || errors.Is(err, stages.ErrLost) {
		return false, s.fail(ctx, err)
	}
	if err != nil || again {
		return again, err
	}
	return false, s.cfg.AppendIf(ctx, stageName, messages.EventCompleted, messages.Completed{Targets: stages.LiveTargets(st)}, func(st pipeline.State) error {
		if st.Completed != nil {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
}
