package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
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
}

// Stage opens and closes the sessions of one backup.
type Stage struct{ cfg Config }

// New returns a checkpoint stage.
func New(cfg Config) *Stage {
	cfg.Env = cfg.Env.WithDefaults()
	return &Stage{cfg: cfg}
}

// Run returns nil when the backup is complete.
func (s *Stage) Run(ctx context.Context) error {
	lease, err := s.cfg.Client.Lease(ctx, s.cfg.Backup, stageName, s.cfg.Instance, stages.LeaseTTL)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := stages.WithLease(ctx, lease)
	defer cancel()
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Requested != nil, st.Terminal() })
	if err != nil {
		return err
	}
	if st.Completed != nil {
		return nil
	}
	if st.Prepared == nil {
		if err := s.prepare(ctx, st); err != nil {
			return err
		}
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.complete(ctx)
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
		if err := conn.CreatePhysicalSlot(ctx, r.Slot, false, true); err != nil {
			return err
		}
		if s.cfg.OnSlot != nil {
			s.cfg.OnSlot(r.Slot, false)
		}
	}
	p.Slot = r.Slot
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

// identifyPolar returns nil for PostgreSQL, which does not know the settings.
func identifyPolar(ctx context.Context, conn *postgres.Conn) *messages.Polar {
	mode, err := conn.Show(ctx, "polar_enable_shared_storage_mode")
	if err != nil {
		return nil
	}
	p := &messages.Polar{SharedStorage: mode == "on"}
	// Each of these is open to every role; one that a version does not have stays empty.
	p.Version, _ = conn.Show(ctx, "polar_version")
	p.DataDir, _ = conn.Show(ctx, "polar_datadir")
	p.DiskName, _ = conn.Show(ctx, "polar_disk_name")
	if id, err := conn.Show(ctx, "polar_hostid"); err == nil {
		_, _ = fmt.Sscan(strings.TrimSpace(id), &p.HostID)
	}
	return p
}

// stop closes the session when all of it was read.
func (s *Stage) stop(ctx context.Context) error {
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		cur := st.Session()
		return cur != nil && cur.ReadDone != nil, st.Terminal()
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

// complete ends the backup when every target is a node.
func (s *Stage) complete(ctx context.Context) error {
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		live := stages.LiveTargets(st)
		if len(live) == 0 {
			return false, errors.New("no target is left: all of them failed or were dropped")
		}
		for _, n := range live {
			if st.Targets[n].Configured == nil {
				return false, st.Terminal()
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	return s.cfg.AppendIf(ctx, stageName, messages.EventCompleted, messages.Completed{Targets: stages.LiveTargets(st)}, func(st pipeline.State) error {
		if st.Completed != nil {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
}
