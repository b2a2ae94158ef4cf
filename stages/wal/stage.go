package wal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"polarcast/internal/postgres"
	"polarcast/pipeline"
	"polarcast/stages"
)

const stageName = "wal"

// Config says how WAL is captured.
type Config struct {
	stages.Env
	// Connect opens a replication connection to the source.
	Connect func(ctx context.Context) (*postgres.Conn, error)
	// StatusInterval is the longest time between two reports to the server; 0 means 10 s, as pg_basebackup has it.
	StatusInterval time.Duration
	// Retries is how often in a row a lost connection is made again, at least 8.
	Retries int
	// EndWhenTerminated gives up when an administrator ends the connection (pg_terminate_backend), as pg_basebackup does. Otherwise the stage
	// connects again, as after any other loss.
	EndWhenTerminated bool
	// Strict publishes in order whatever happens, for targets that write sequentially.
	Strict bool
	// OnSlot, when set, is told the name of a slot that was created.
	OnSlot func(name string, temporary bool)
	// OnStreaming, when set, is told that WAL is coming in.
	OnStreaming func()
}

// Stage captures the WAL of one backup.
type Stage struct {
	cfg  Config
	slot string
	hold hold
	w    *writer         // kept over lost connections
	ctx  context.Context // of Run: the feed outlives one connection

	connected bool // at some time: a place among the server's connections was free

	shown atomic.Pointer[writer] // w, for progress reports
}

// New returns a wal stage.
func New(cfg Config) *Stage {
	cfg.Env = cfg.Env.WithDefaults()
	if cfg.StatusInterval == 0 {
		cfg.StatusInterval = 10 * time.Second
	}
	return &Stage{cfg: cfg}
}

// errLost wraps the end of a connection, after which another one is tried.
type errLost struct{ err error }

func (e errLost) Error() string { return e.err.Error() }
func (e errLost) Unwrap() error { return e.err }

// Run captures WAL until the end of the session that was read completely. It returns nil at once when the backup takes no WAL by streaming.
func (s *Stage) Run(ctx context.Context) error {
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Prepared != nil, st.Terminal() })
	if err != nil {
		return err
	}
	if st.Requested.WALMethod != "stream" {
		return nil
	}
	s.hold.stitch = st.Requested.Stitch
	lease, err := stages.Lead(ctx, s.cfg.Env, stageName)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.Context(ctx)
	defer cancel()
	s.ctx = ctx
	stop := stages.Report(ctx, s.cfg.Env, s.progress)
	defer stop()
	defer func() {
		if s.w != nil {
			s.w.feed.Abort(nil)
		}
	}()
	tries := max(s.cfg.Retries, 8)
	var slot busy
	for failed := 0; ; {
		if st, err = s.cfg.Log().State(ctx); err != nil {
			return err
		}
		if stages.Captured(st) {
			// Parts may be lost on their way, and be asked for again.
			s.w = nil
			if st, err = s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
				return stages.ReadingOver(st) || !stages.Captured(st), st.Terminal()
			}); err != nil {
				return err
			}
			if stages.ReadingOver(st) {
				return nil
			}
		}
		before := s.position()
		err = s.capture(ctx, st)
		if err == nil {
			failed = 0
			continue
		}
		inUse, first := slot.passes(err, st.Requested.OwnSlot, s.connected)
		if inUse {
			err, failed = errLost{err}, 0
		}
		var lost errLost
		if !errors.As(err, &lost) || ctx.Err() != nil {
			return err
		}
		if s.position() > before {
			failed = 0
		}
		if failed++; failed > tries {
			return fmt.Errorf("could not keep streaming WAL after %d attempts: %w", tries, lost.err)
		}
		switch {
		case first:
			s.cfg.Logger.Warn("waiting for the server to notice that an earlier connection is gone", "error", lost.err)
		case !inUse:
			if s.cfg.EndWhenTerminated && postgres.SQLState(lost.err) == "57P01" {
				end := s.endSoon(ctx)
				if end == 0 {
					return fmt.Errorf("background process terminated unexpectedly: %w", lost.err)
				}
				if s.position() >= end && !s.w.again.comparing {
					if err := s.finish(ctx, end); err != nil {
						return err
					}
					continue
				}
			}
			s.cfg.Logger.Warn("connection for WAL lost, connecting again", "error", lost.err)
		}
		select {
		case <-time.After(min(time.Duration(failed)*250*time.Millisecond, 5*time.Second)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lastWord is how long the end of a session may take to be told after the server has ended the connection for WAL.
const lastWord = 3 * time.Second

// endSoon returns where the WAL of the session ends when that is known now or in a moment, else 0. The checkpoint that follows the end of backup mode
// terminates a WAL sender whose slot keeps more than max_slot_wal_keep_size, just when all that is needed was sent: that is not the
// intervention of an administrator.
func (s *Stage) endSoon(ctx context.Context) postgres.LSN {
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		cur := st.Session()
		return cur != nil && cur.ReadDone != nil && cur.Stopped != nil, st.Terminal()
	})
	if err != nil {
		return 0
	}
	return postgres.LSN(st.Session().Stopped.EndLSN)
}

// position is where streaming goes on, 0 before it has begun.
func (s *Stage) position() postgres.LSN {
	if s.w == nil {
		return 0
	}
	return s.w.pos
}
