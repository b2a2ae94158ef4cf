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
	"polarcast/stages/feed"
	"polarcast/stages/source"
	"polarcast/stages/work"
)

// staleGrace is how long the readers of a lost session may still publish after the event log says that it is lost: the news travels within
// milliseconds, and what they had under way was handed over before.
const staleGrace = 500 * time.Millisecond

// SessionName is the application_name of the connection that holds backup mode.
const SessionName = "polarcast backup mode"

// session is one session on its way.
type session struct {
	f     *Files
	st    pipeline.State
	n     uint32
	mode  *backupMode
	src   source.Reader
	prior *feed.Prior
	feed  *feed.Feed
	list  *listing
	conn  *pgconn.PgConn
	// started is when the server of conn was started (source.StartedAt).
	started string
	event   messages.SessionStarted
	within  []string // places of tablespaces in the data directory
	// base is the session that this one goes on with, nil when it is on its own; delivered are the files that need not be read again.
	base      *pipeline.SessionState
	delivered map[uint64]int64
	fence     uint64 // the last message of the chunk stream before this session
}

// first is the session with whose start point a server begins to replay.
func (s *session) first() messages.SessionStarted {
	if s.base != nil {
		return s.base.Started
	}
	return s.event
}

// session enters backup mode, has everything read, and leaves backup mode.
func (f *Files) session(ctx context.Context, st pipeline.State, n uint32) (err error) {
	s := &session{f: f, st: st, n: n}
	if stages.NeedsRepair(st) {
		if err := f.cfg.ReleaseWritten(ctx, st); err != nil {
			return err
		}
	}
	if n > 1 {
		if err := pause(ctx, staleGrace); err != nil {
			return err
		}
		if err := f.cfg.Drained(ctx, func(t string) {
			f.cfg.Logger.Info("waiting for a target to write what the lost session sent", "target", t)
		}); err != nil {
			return err
		}
		info, err := f.cfg.Client.ChunkStream(ctx, f.cfg.Backup)
		if err != nil {
			return err
		}
		s.fence = info.LastSeq
	}
	if s.prior, err = feed.LoadPrior(ctx, f.cfg.Client, f.cfg.Backup, n, f.cfg.Missing(st), stages.Offers(st), f.cfg.SpillDir); err != nil {
		return err
	}
	defer s.prior.Close()
	if err := f.cfg.Client.PurgeWork(ctx, f.cfg.Backup); err != nil {
		return err
	}
	if s.src, err = f.cfg.Open(ctx, st); err != nil {
		return err
	}
	defer s.src.Close()
	conn, err := f.cfg.ConnectSQL(ctx)
	if err != nil {
		return err
	}
	defer postgres.CloseSQL(conn) // which is what ends backup mode after a failure
	if err := f.prepareConn(ctx, conn, st); err != nil {
		return err
	}
	s.conn = conn
	if s.started, err = source.StartedAt(ctx, conn); err != nil {
		return errSession{err}
	}
	if err := source.OneServer(ctx, s.src, s.started); err != nil {
		return err
	}
	if err := s.tryStitch(ctx); err != nil {
		return err
	}
	if s.event, err = s.begin(ctx, conn); err != nil {
		return err
	}
	f.read.begin(n)
	if err := f.started(ctx, s.event); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if e := f.lost(ctx, n, err); e != nil && !errors.Is(e, context.DeadlineExceeded) {
				err = errors.Join(err, e)
			}
		}
	}()
	if st.Requested.Stitch && s.base == nil {
		if err := s.noteBase(ctx); err != nil {
			return err
		}
	}
	return s.read(ctx)
}

// prepareConn turns the session's timeouts off, and refuses another server than the one that the backup was begun from.
func (f *Files) prepareConn(ctx context.Context, conn *pgconn.PgConn, st pipeline.State) error {
	if _, err := conn.Exec(ctx, source.Setup).ReadAll(); err != nil {
		return fmt.Errorf("could not set up the connection for backup mode: %w", err)
	}
	// So that people see in pg_stat_activity what holds the backup mode.
	if _, err := query(ctx, conn, "SELECT pg_catalog.set_config('application_name', $1, false)", SessionName); err != nil {
		return err
	}
	rows, err := query(ctx, conn, "SELECT system_identifier FROM pg_catalog.pg_control_system()")
	if err != nil {
		return fmt.Errorf("could not ask for the system identifier: %w", err)
	}
	if id := string(rows[0][0]); id != st.Prepared.SystemID {
		return fmt.Errorf("the server has system identifier %s, but this backup was begun from %s: connect to the same server, or start a new backup", id, st.Prepared.SystemID)
	}
	return nil
}

// begin enters backup mode and lists what is to be read.
func (s *session) begin(ctx context.Context, conn *pgconn.PgConn) (ev messages.SessionStarted, err error) {
	req := s.st.Requested
	s.mode, err = enterBackupMode(ctx, conn, s.st.Prepared.ServerVersion, req.Label, req.Options.Checkpoint == "fast")
	if err != nil {
		return ev, err
	}
	ev = messages.SessionStarted{Session: s.n, Source: "files", StartLSN: messages.LSN(s.mode.Start), Timeline: s.mode.Timeline,
		Redo: messages.LSN(s.mode.Redo), CheckpointLSN: messages.LSN(s.mode.Checkpoint), NextXID: s.mode.NextXID, ChunkSeq: s.fence,
		ServerStarted: s.started}
	if s.base != nil && s.mode.Timeline != s.base.Started.Timeline {
		return ev, errSession{errStitch{"the source was promoted while the new session began"}}
	}
	if s.base != nil {
		a := s.base.Started
		ev.StartLSN, ev.Redo, ev.CheckpointLSN, ev.NextXID, ev.StitchedTo = a.StartLSN, a.Redo, a.CheckpointLSN, a.NextXID, a.Session
		s.mode.NextXID = a.NextXID // what was prepared since is made again by replay
	}
	if ev.Tablespaces, err = userSpaces(ctx, conn); err != nil {
		return ev, err
	}
	if s.within, err = within(ctx, conn, ev.Tablespaces, s.src); err != nil {
		return ev, errSession{err}
	}
	if s.list, err = s.listAll(ctx); err != nil {
		return ev, err
	}
	if err := s.mode.alive(ctx); err != nil {
		return ev, errSession{err}
	}
	shared := s.st.Prepared.Polar != nil && s.st.Prepared.Polar.SharedStorage
	for i := range ev.Tablespaces {
		ev.Tablespaces[i].SizeKB = s.list.kb(ev.Tablespaces[i].OID)
	}
	ev.Tablespaces = append(ev.Tablespaces, messages.Tablespace{SizeKB: s.list.kb(0)})
	if shared {
		ev.Tablespaces = append(ev.Tablespaces, messages.Tablespace{SizeKB: s.list.sharedKB(), Shared: true,
			Files: s.list.sharedFiles, Blocks: s.list.sharedBlocks})
	}
	return ev, nil
}

// read has all items read, and closes the session.
func (s *session) read(ctx context.Context) (err error) {
	defer s.list.close()
	codec, level := messages.ParseCodec(s.st.Requested.Codec)
	s.feed, err = feed.New(ctx, feed.Config{Client: s.f.cfg.Client, Backup: s.f.cfg.Backup, Session: s.n, Subject: pipeline.SubjectData, Codec: codec,
		Level: level, Workers: 1, Prior: s.prior, Digest: work.Digest(s.st.Requested.Options), Strict: s.st.Requested.Options.Tar})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.feed.Abort(err)
		}
	}()
	if err := s.list.publish(ctx, s); err != nil {
		return err
	}
	if err := s.feed.Flush(); err != nil {
		return err
	}
	if err := s.wait(ctx); err != nil {
		return err
	}
	control, err := source.Control(ctx, s.src, s.controlTree())
	if err != nil {
		return err
	}
	end, label, spaces, err := s.mode.leave(ctx, s.st.Requested.WALMethod == "none")
	if err != nil {
		return errSession{err}
	}
	e := &ending{end: end, label: label, spaces: spaces, control: control}
	if s.base != nil {
		if err := s.stitch(ctx, e); err != nil {
			return err
		}
	}
	return s.finish(ctx, e)
}

// wait returns when every item is acknowledged, and fails when the session on the source does not live any more.
func (s *session) wait(ctx context.Context) error {
	ping := time.NewTicker(s.f.cfg.PingInterval)
	defer ping.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ping.C:
			if err := s.ping(ctx); err != nil {
				return err
			}
			st, err := s.f.cfg.Log().State(ctx)
			if err != nil {
				return err
			}
			if err := st.Terminal(); err != nil {
				return err
			}
			// Sooner than at the end: what was sent by then is not sent again.
			if s.base != nil {
				if reason := s.f.tail.forbids(); reason != "" {
					return errStitch{reason}
				}
			}
		case <-poll.C:
			left, err := s.f.cfg.Client.WorkLeft(ctx, s.f.cfg.Backup)
			if err != nil {
				return err
			}
			if left == 0 {
				return nil
			}
		}
	}
}

// ping asks whether the session lives.
func (s *session) ping(ctx context.Context) error {
	if err := s.mode.alive(ctx); err != nil {
		return errSession{err}
	}
	return nil
}

// controlTree is where pg_control is.
func (s *session) controlTree() messages.Tree { return source.ControlTree(s.st.Prepared) }
