package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/source"
)

// FilesConfig says where the source is, for the files source.
type FilesConfig struct {
	Config
	// ConnectSQL opens an ordinary connection to the source; backup mode is bound to it.
	ConnectSQL func(ctx context.Context) (*pgconn.PgConn, error)
	// Open opens the source for listing, and for the files that are read last.
	Open func(ctx context.Context, st pipeline.State) (source.Reader, error)
	// Retries is how many further sessions are started in a row when one is lost.
	Retries int
	// Patience is how long a server may be away, because it is being restarted, before the stage gives up; 0 means 2 minutes.
	Patience time.Duration
	// PingInterval is how often the session is asked whether it lives; 0 means 1 s.
	PingInterval time.Duration
	// SpillDir receives temporary files; "" is the system's temporary directory.
	SpillDir string
	// OnSession, when set, is told that the source is in backup mode.
	OnSession func(messages.SessionStarted)
}

// Files opens and closes the sessions of one backup that is read by files. It holds backup mode, and nothing else.
type Files struct {
	cfg   FilesConfig
	stage *Stage
	read  readers
	ctx   context.Context // of Run: the tail outlives one session
	tail  *walTail        // nil when nothing is to be stitched
}

// NewFiles returns a checkpoint stage of the files source.
func NewFiles(cfg FilesConfig) *Files {
	stage := New(cfg.Config)
	cfg.Config = stage.cfg
	if cfg.Patience == 0 {
		cfg.Patience = 2 * time.Minute
	}
	if cfg.PingInterval == 0 {
		cfg.PingInterval = time.Second
	}
	return &Files{cfg: cfg, stage: stage}
}

// Run returns nil when the backup is complete.
func (f *Files) Run(ctx context.Context) error {
	lease, err := stages.Lead(ctx, f.cfg.Env, stageName)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.Context(ctx)
	defer cancel()
	f.ctx = ctx
	defer func() {
		if f.tail != nil {
			f.tail.stop()
		}
	}()
	f.stage.more = f.read.add
	go f.read.watch(ctx, f.cfg.Client, f.cfg.Backup)
	return f.stage.run(ctx, func(ctx context.Context) error {
		if err := f.sessions(ctx); err != nil {
			return err
		}
		return f.stage.stop(ctx)
	})
}

// sessions starts sessions until one was read and closed.
func (f *Files) sessions(ctx context.Context) error {
	var away time.Time // since when the server has not let a session begin
	crowded := false   // because it has no room, when a person was last told
	for failed := 0; ; {
		st, err := f.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
			ready := st.Prepared != nil && (st.Requested.WALMethod != "stream" || st.Slot != nil)
			return ready && stages.Surveyed(st), st.Terminal()
		})
		if err != nil {
			return err
		}
		n := uint32(1)
		if cur := st.Session(); cur != nil {
			if cur.ReadDone != nil && !stages.NeedsRepair(st) {
				return nil
			}
			n = cur.Started.Session + 1
			if cur.Lost == nil && cur.ReadDone == nil {
				// Whoever held it is gone, or this process would not lead: the server has left backup mode with the connection.
				if err := f.lost(ctx, cur.Started.Session, errors.New("the process that held it was lost")); err != nil {
					return err
				}
				continue // with a state that knows of the loss: stitching depends on it
			}
		}
		before := time.Now()
		err = f.session(ctx, st, n)
		if err == nil || ctx.Err() != nil || !passing(err) {
			return err
		}
		now, e := f.cfg.Log().State(ctx)
		if e != nil {
			return e
		}
		if cur := now.Session(); cur == nil || cur.Started.Session < n {
			if f.cfg.Retries == 0 || n == 1 && !(f.cfg.Reconnects > 0 && postgres.IsConnectionLost(err)) {
				return err
			}
			if full := postgres.IsCrowded(err); away.IsZero() || full != crowded {
				crowded = full
				f.cfg.Logger.Warn("waiting for the source to begin another session", "error", err)
			}
			if away.IsZero() {
				away = time.Now()
			}
			if time.Since(away) > f.cfg.Patience {
				return err
			}
		} else {
			away = time.Time{}
			if time.Since(before) > time.Minute {
				failed = 0 // it had been going well
			}
			if failed++; failed > f.cfg.Retries {
				return err
			}
			f.cfg.Logger.Warn("session lost, starting another", "session", n, "error", err)
		}
		if err := pause(ctx, f.cfg.RetryDelay); err != nil {
			return err
		}
	}
}

// errSession is an error of the session's own connection, after which another session may go well.
type errSession struct{ err error }

func (e errSession) Error() string { return "the session on the source was lost: " + e.err.Error() }
func (e errSession) Unwrap() error { return e.err }

// passing reports whether another session may go well where one failed.
func passing(err error) bool {
	var s errSession
	var no errStitch
	return errors.As(err, &s) || errors.As(err, &no) || postgres.IsConnectionLost(err) || postgres.IsCrowded(err) || errors.Is(err, source.ErrOtherServer)
}

// lost notes that a session ended before it was closed.
func (f *Files) lost(ctx context.Context, session uint32, cause error) error {
	return f.cfg.SessionLost(ctx, stageName, session, cause, func(s pipeline.SessionState) bool { return s.Stopped != nil })
}

// started notes a new session.
func (f *Files) started(ctx context.Context, ev messages.SessionStarted) error {
	err := f.cfg.AppendIf(ctx, stageName, messages.EventSessionStarted, ev, func(st pipeline.State) error {
		if cur := st.Session(); cur != nil && cur.Started.Session >= ev.Session {
			return fmt.Errorf("session %d of backup %q was started by another process", ev.Session, f.cfg.Backup)
		}
		return st.Terminal()
	})
	if err == nil && f.cfg.OnSession != nil {
		f.cfg.OnSession(ev)
	}
	return err
}
