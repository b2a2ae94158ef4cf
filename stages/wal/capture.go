package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
)

// pollEnd is how often the stage looks whether the end LSN is known while the server is silent.
const pollEnd = 100 * time.Millisecond

// capture streams WAL over one connection until the end is reached or the connection is lost.
func (s *Stage) capture(ctx context.Context, st pipeline.State) error {
	conn, err := s.cfg.Connect(ctx)
	if err != nil {
		return lostIfNetwork(err)
	}
	defer conn.Close()
	s.connected = true
	sys, err := conn.IdentifySystem(ctx)
	if err != nil {
		return lostIfNetwork(err)
	}
	if sys.ID != st.Prepared.SystemID {
		return fmt.Errorf("the server has system identifier %s, but this backup was begun from %s: connect to the same server", sys.ID, st.Prepared.SystemID)
	}
	if err := s.ensureSlot(ctx, conn, st); err != nil {
		return lostIfNetwork(err)
	}
	st, err = s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
		cur := st.Session()
		return cur != nil && cur.Lost == nil, st.Terminal()
	})
	if err != nil {
		return err
	}
	if s.w == nil {
		if err := s.begin(ctx, conn, st); err != nil {
			return lostIfNetwork(err)
		}
	}
	// A standby's own position may be behind for a while after its restart, a primary's never. What it was asked for before the session began says nothing
	// of a segment of which nothing was captured yet.
	if !st.Prepared.InRecovery && s.w.captured() && sys.XLogPos < s.w.pos && sys.Timeline == s.w.tli {
		return setBack(s.w.pos)
	}
	stream, err := conn.StartReplication(ctx, s.slot, s.w.again.from(s.w.pos, s.w.size), s.w.tli)
	if err != nil {
		return s.streamError(err)
	}
	if s.cfg.OnStreaming != nil {
		s.cfg.OnStreaming()
	}
	return s.stream(ctx, stream)
}

// lostIfNetwork marks errors after which another connection may work.
func lostIfNetwork(err error) error {
	if err != nil && postgres.IsConnectionLost(err) {
		return errLost{err}
	}
	return err
}

// stream moves WAL into the pipeline until the end LSN of the session.
func (s *Stage) stream(ctx context.Context, ws *postgres.WALStream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.hold.known = false
	end := make(chan messages.LSN, 1)
	go func() {
		st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
			s.hold.look(st)
			cur := st.Session()
			return cur != nil && cur.ReadDone != nil && cur.Stopped != nil, st.Terminal()
		})
		if err != nil {
			cancel(err)
			return
		}
		end <- st.Session().Stopped.EndLSN
	}()
	var endLSN postgres.LSN
	report := time.Now().Add(s.cfg.StatusInterval)
	for {
		select {
		case e := <-end:
			endLSN = postgres.LSN(e)
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		if endLSN != 0 && s.w.pos >= endLSN && !s.w.again.comparing {
			if err := s.finish(ctx, endLSN); err != nil {
				return err
			}
			// The slot may let go of what JetStream holds now. All that is needed is there: an error changes nothing.
			_ = ws.SendStatus(s.w.pos, s.w.pos, 0, false)
			_ = ws.Stop(ctx)
			return nil
		}
		reply := false
		m, err := ws.Receive(time.Now().Add(pollEnd))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// A server that writes little must not keep its WAL in our memory: a process that takes over, and stitching, look for it in the index.
			if err := s.w.feed.Flush(); err != nil {
				return err
			}
		case err != nil:
			return s.streamError(err)
		case m.Keepalive:
			if reply = m.ReplyRequested; reply {
				// Also a server that shuts down waits until all that it has sent is durable here.
				if err := s.w.feed.Flush(); err != nil {
					return err
				}
			}
		default:
			if err := s.w.write(m.Start, m.Data); err != nil {
				return err
			}
		}
		if reply || time.Now().After(report) {
			if err := s.status(ws); err != nil {
				return lostIfNetwork(err)
			}
			report = time.Now().Add(s.cfg.StatusInterval)
		}
	}
}

func (s *Stage) streamError(err error) error {
	var eot *postgres.EndOfTimeline
	if errors.As(err, &eot) {
		return fmt.Errorf("the server went on to timeline %d at %s while the backup was running (it was promoted, or follows a promoted one): the backup cannot be used, start it again", eot.NextTLI, eot.SwitchPoint)
	}
	if postgres.IsWALRemoved(err) && s.w.again.removed(s.w.pos, s.w.size) {
		return errLost{err}
	}
	if postgres.IsWALRemoved(err) {
		return fmt.Errorf("the server no longer has the WAL from %s on that this backup needs: use a replication slot (--slot), or raise wal_keep_size, and start again: %w", s.w.pos, err)
	}
	return lostIfNetwork(err)
}

// progress is what the stage tells of itself.
func (s *Stage) progress() pipeline.Progress {
	p := pipeline.Progress{Stage: stageName}
	w := s.shown.Load()
	if w == nil {
		p.Waiting = "the source to be in backup mode"
		return p
	}
	t := w.feed.Totals()
	p.Read, p.Sent, p.LSN = t.ReadBytes, t.SentBytes, w.durable().String()
	return p
}

// finish seals what was captured and says so.
func (s *Stage) finish(ctx context.Context, end postgres.LSN) error {
	w := s.w
	if err := w.endSegment(); err != nil {
		return err
	}
	if err := w.feed.Put(messages.Record{Kind: messages.KindEnd, Tree: messages.TreeWAL, Path: messages.EndPath}); err != nil {
		return err
	}
	t, err := w.feed.Close()
	if err != nil {
		return err
	}
	return s.cfg.Append(ctx, stageName, messages.EventWALCaptured, messages.WALCaptured{StartLSN: messages.LSN(w.base), EndLSN: messages.LSN(end),
		Timeline: w.tli, Segments: w.segments, Bytes: t.ReadBytes, IndexSeq: t.IndexSeq})
}
