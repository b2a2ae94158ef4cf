package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/source"
)

// refused begins the error of a session that must not be gone on with.
const refused = "stitching refused: "

// errStitch says that sessions must not be joined. The next one compares.
type errStitch struct{ reason string }

func (e errStitch) Error() string { return refused + e.reason }

// eventStitchBase keeps what must be equal in all sessions that are joined.
const eventStitchBase = messages.EventType("stitch_base")

type stitchBase struct {
	Session             uint32 `json:"session"`
	ControlVersion      uint32 `json:"control_version"`
	DataChecksumVersion uint32 `json:"data_checksum_version"`
}

// stitchTo returns the session whose start point a new one goes on with; nil when it is to compare.
func stitchTo(st pipeline.State) *pipeline.SessionState {
	cur := st.Session()
	if cur == nil || !st.Requested.Stitch || cur.Lost == nil || strings.Contains(cur.Lost.Error, refused) {
		return nil
	}
	return stages.Stitched(st)
}

// tryStitch decides whether the new session goes on where the last one was lost, and says why when it does not.
func (s *session) tryStitch(ctx context.Context) error {
	base := stitchTo(s.st)
	if base == nil {
		return nil
	}
	err := s.mayStitch(ctx, base)
	var no errStitch
	if errors.As(err, &no) {
		s.f.cfg.Logger.Warn("the lost session cannot be gone on with, comparing instead", "reason", no.reason)
		return s.f.cfg.Append(ctx, stageName, messages.EventNote, messages.Note{Text: no.Error() + "; comparing instead"})
	}
	if err != nil {
		return err
	}
	s.base = base
	c, err := s.collect(ctx, base.Started.Session, s.n-1)
	if err != nil {
		return err
	}
	defer c.close()
	s.delivered = c.final
	for _, m := range stages.Missing(s.st) {
		for _, r := range m.Ranges {
			delete(s.delivered, messages.PathKey(r.Tree, r.Path))
		}
	}
	return nil
}

// mayStitch checks all conditions that can be checked before the new session begins.
func (s *session) mayStitch(ctx context.Context, base *pipeline.SessionState) error {
	a := base.Started
	if !stages.Stitchable(a) {
		return errStitch{"another checkpoint came between the start of the first session and the reading of its start point"}
	}
	if s.st.Requested.WALMethod != "stream" {
		return errStitch{"the WAL between the sessions is not captured (--wal-method=stream does)"}
	}
	rows, err := query(ctx, s.conn, "SELECT pg_catalog.pg_is_in_recovery(), (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())")
	if err != nil {
		return errSession{err}
	}
	if string(rows[0][0]) == "t" {
		return errStitch{"the source is a standby"}
	}
	if string(rows[0][1]) != fmt.Sprint(a.Timeline) {
		return errStitch{fmt.Sprintf("the source is on timeline %s, it was on %d", rows[0][1], a.Timeline)}
	}
	if err := s.sameControl(ctx, a.Session); err != nil {
		return err
	}
	if err := s.sameWAL(ctx, a); err != nil {
		return err
	}
	return s.lookOn(ctx, base)
}

// lookOn goes on to look through the WAL since the first session began, up to now, before a new session begins. It reads the last record anew, also when it was
// this process that read it: files were delivered since, from a server that must be the same.
func (s *session) lookOn(ctx context.Context, base *pipeline.SessionState) error {
	if base.Scanned != nil && base.Scanned.Reason != "" {
		return errStitch{base.Scanned.Reason} // for good: the slot has let go of WAL
	}
	from := scannedWindow(base)
	if t := s.f.tail; t != nil && t.base.Session == base.Started.Session {
		seen, err := t.halt(ctx)
		if err != nil {
			return err
		}
		if seen != nil && len(seen.Findings) > 0 {
			return errStitch{seen.Findings[0].String()}
		}
		from = seen
	}
	now, err := flushed(ctx, s.conn)
	if err != nil {
		return err
	}
	if from != nil && now <= from.LastRecord {
		return errStitch{fmt.Sprintf("the server's WAL ends at %s, but a record at %s was read: it was set back to an earlier moment", now, from.LastRecord)}
	}
	s.f.startTail(s.st, base.Started, from)
	if err := s.f.tail.caughtUp(ctx, now); err != nil {
		return err
	}
	if reason := s.f.tail.forbids(); reason != "" {
		return errStitch{reason}
	}
	return nil
}

// flushed asks how far the WAL is durable.
func flushed(ctx context.Context, conn *pgconn.PgConn) (postgres.LSN, error) {
	rows, err := query(ctx, conn, "SELECT pg_catalog.pg_current_wal_flush_lsn()")
	if err != nil {
		return 0, errSession{err}
	}
	return postgres.ParseLSN(string(rows[0][0]))
}

// noteBase keeps what must stay equal, and starts to watch the WAL, at the start of a session that others may go on with.
func (s *session) noteBase(ctx context.Context) error {
	ctl, err := source.Control(ctx, s.src, s.controlTree())
	if err != nil {
		return err
	}
	if stages.Stitchable(s.event) && !s.st.Prepared.InRecovery {
		s.f.startTail(s.st, s.event, nil)
	}
	return s.f.cfg.Append(ctx, stageName, eventStitchBase, stitchBase{Session: s.n, ControlVersion: ctl.Version, DataChecksumVersion: ctl.DataChecksumVersion})
}

// sameControl compares the control file with that of the first session.
func (s *session) sameControl(ctx context.Context, first uint32) error {
	var b *stitchBase
	err := s.f.cfg.Log().Events(ctx, 0, false, func(_ uint64, ev messages.Event) error {
		if ev.Type != eventStitchBase {
			return nil
		}
		var v stitchBase
		if err := ev.Decode(&v); err != nil {
			return err
		}
		if v.Session == first {
			b = &v
		}
		return nil
	})
	if err != nil {
		return err
	}
	if b == nil {
		return errStitch{"the first session was lost before its control file was read"}
	}
	ctl, err := source.Control(ctx, s.src, s.controlTree())
	if err != nil {
		return err
	}
	if ctl.Version != b.ControlVersion || ctl.DataChecksumVersion != b.DataChecksumVersion {
		return errStitch{fmt.Sprintf("the control file has version %d and checksum version %d, it had %d and %d", ctl.Version, ctl.DataChecksumVersion,
			b.ControlVersion, b.DataChecksumVersion)}
	}
	return nil
}

// skip reports whether a file was delivered whole by a session that this one goes on with. Files at the top are read again: they are few and small, and no
// WAL speaks of their changes.
func (s *session) skip(e source.Entry) bool {
	if s.base == nil || !strings.Contains(e.Path, "/") {
		return false
	}
	_, ok := s.delivered[messages.PathKey(e.Tree, e.Path)]
	return ok
}

// stitch replaces label and control file by those of a backup of several sessions, having read all of the WAL.
func (s *session) stitch(ctx context.Context, e *ending) error {
	reason, err := s.f.tail.finish(ctx, e.end)
	s.f.tail.stop()
	s.f.tail = nil
	if err != nil {
		return err
	}
	if reason != "" {
		return errStitch{reason}
	}
	a := s.base.Started
	label := postgres.StitchedLabel(postgres.LSN(a.Redo), postgres.LSN(a.CheckpointLSN), a.Timeline, s.st.Prepared.WALSegmentSize,
		s.base.StartedAt.UTC().Format("2006-01-02 15:04:05 MST"), s.st.Requested.Label)
	e.label = label.Bytes()
	e.control.RequireRecoveryTo(e.end, a.Timeline)
	s.f.cfg.Logger.Info("the backup is stitched", "first", a.Session, "last", s.n)
	return s.f.cfg.Append(ctx, stageName, messages.EventNote, messages.Note{Text: fmt.Sprintf("the backup is stitched from sessions %d to %d: it begins at %s and ends at %s",
		a.Session, s.n, postgres.LSN(a.StartLSN), e.end)})
}
