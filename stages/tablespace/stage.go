package tablespace

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
)

const stageName = "tablespace"

// Config says how a tablespace stage reads.
type Config struct {
	stages.Env
	// Connect opens a replication connection to the source.
	Connect func(ctx context.Context) (*postgres.Conn, error)
	// ConnectSQL opens an ordinary connection to the source, over which the local tree of a replica is read when its role may; nil: it is taken from
	// a base backup.
	ConnectSQL func(ctx context.Context) (*pgconn.PgConn, error)
	// Retries is how many further sessions are started when one is lost. The drop-in command uses 0: it is run again by its user.
	Retries int
	// RetryDelay is the pause before a further session; 0 means 5 s.
	RetryDelay time.Duration
	// OldManifest is sent to the server before an incremental backup.
	OldManifest func() (ManifestFile, error)
	// SpillDir receives temporary files; "" is the system's temporary directory.
	SpillDir string
	// Strict publishes in reading order, for targets that write sequentially.
	Strict bool
	// Workers is the number of goroutines that compress; 0 is the feed's default.
	Workers int
	// OnSession, when set, is told that the server has started to send (the checkpoint is complete).
	OnSession func(messages.SessionStarted)
	// Throttle, when set, limits the rate of reading.
	Throttle func(ctx context.Context, bytes int) error
}

// Stage reads the source of one backup.
type Stage struct {
	cfg    Config
	report reporter
}

// New returns a tablespace stage.
func New(cfg Config) *Stage {
	cfg.Env = cfg.Env.WithDefaults()
	if cfg.RetryDelay == 0 {
		cfg.RetryDelay = 5 * time.Second
	}
	return &Stage{cfg: cfg, report: reporter{env: cfg.Env}}
}

// retriedAfresh is how long a session has to live so that the ones before it do not count as failures in a row.
const retriedAfresh = time.Minute

// Run reads the source to its end, and again when parts of it are lost on their way. It returns nil when every target has all of it.
func (s *Stage) Run(ctx context.Context) error {
	stop := s.report.idle(ctx, "the process that reads to be gone")
	lease, err := stages.Lead(ctx, s.cfg.Env, stageName)
	stop()
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.Context(ctx)
	defer cancel()
	for attempt := 0; ; {
		st, err := s.waitReady(ctx)
		if err != nil {
			return err
		}
		if stages.ReadingOver(st) {
			return nil
		}
		cur := st.Session()
		n := uint32(1)
		if cur != nil {
			n = cur.Started.Session + 1
			if cur.Lost == nil && cur.ReadDone == nil {
				if err := s.lost(ctx, cur.Started.Session, errors.New("the process that read it was lost")); err != nil {
					return err
				}
			}
		}
		if stages.NeedsRepair(st) {
			s.cfg.Logger.Warn("parts of the backup were lost after they had been sent: reading the source again for them", "session", n)
		}
		began := time.Now()
		err = s.session(ctx, st, n)
		if err == nil {
			attempt = 0
			continue
		}
		if time.Since(began) > retriedAfresh {
			attempt = 0 // it had been going well
		}
		passing := postgres.IsConnectionLost(err) || attempt > 0 && postgres.IsCrowded(err) // by what is left of the lost one
		if attempt++; ctx.Err() != nil || attempt > s.cfg.Retries || !passing {
			return err
		}
		s.cfg.Logger.Warn("session lost, starting another", "session", n, "error", err)
		select {
		case <-time.After(s.cfg.RetryDelay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// waitReady returns when the checkpoint stage has prepared the session and the wal stage has its slot, and when there is something to read, or
// never will be.
func (s *Stage) waitReady(ctx context.Context) (pipeline.State, error) {
	defer s.report.idle(ctx, "something to read")()
	return s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		ready := st.Prepared != nil && (st.Requested.WALMethod != "stream" || st.Slot != nil)
		cur := st.Session()
		open := cur == nil || cur.ReadDone == nil || stages.NeedsRepair(st)
		return ready && stages.Surveyed(st) && (open || stages.ReadingOver(st)), st.Terminal()
	})
}

// lost notes that a session ended before all was read.
func (s *Stage) lost(ctx context.Context, session uint32, cause error) error {
	return s.cfg.SessionLost(ctx, stageName, session, cause, func(s pipeline.SessionState) bool { return s.ReadDone != nil })
}

// checkSame refuses a server that is not the one that the backup was begun from.
func checkSame(p *messages.Prepared, sys postgres.System) error {
	if sys.ID != p.SystemID {
		return fmt.Errorf("the server has system identifier %s, but this backup was begun from %s: connect to the same server, or start a new backup", sys.ID, p.SystemID)
	}
	return nil
}
