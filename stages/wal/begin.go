package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
)

// ensureSlot makes sure that a slot holds the WAL, and says in the event log that the session may start.
func (s *Stage) ensureSlot(ctx context.Context, conn *postgres.Conn, st pipeline.State) error {
	r := st.Requested
	temporary := false
	switch {
	case r.Slot != "":
		s.slot = r.Slot // made by the checkpoint stage, or by its user
	case r.NoSlot:
		s.slot = ""
	default:
		s.slot = "pg_basebackup_" + strconv.FormatUint(uint64(conn.BackendPID()), 10)
		temporary = true
		if err := conn.CreatePhysicalSlot(ctx, s.slot, true, true); err != nil {
			return err
		}
	}
	if st.Slot != nil && st.Slot.Slot == s.slot {
		return nil
	}
	if temporary && s.cfg.OnSlot != nil {
		s.cfg.OnSlot(s.slot, true)
	}
	return s.cfg.Append(ctx, stageName, messages.EventSlotReady, messages.SlotReady{Slot: s.slot, Temporary: temporary})
}

// begin decides where capturing starts: at the segment of the session's start, or where a process before this one stopped.
func (s *Stage) begin(ctx context.Context, conn *postgres.Conn, st pipeline.State) error {
	cur := st.Session().Started
	size := st.Prepared.WALSegmentSize
	start := postgres.LSN(cur.StartLSN) - postgres.LSN(uint64(cur.StartLSN)%uint64(size))
	resumed, sealed := false, true
	var known again
	// After all WAL was captured there is a further session only because parts were lost: its WAL is captured anew.
	if st.WALStarted != nil && st.WALStarted.Timeline == cur.Timeline && st.WALCaptured == nil {
		last, sum, whole, err := s.lastDurable(ctx, size, cur.Timeline)
		if err != nil {
			return err
		}
		if last >= start {
			start, resumed, sealed = last, true, whole || last == start
			if last > sum.start && last <= sum.start+postgres.LSN(size) {
				known.crc, known.known = sum.upTo(last)
			}
		}
	}
	fd, err := feed.New(s.ctx, feed.Config{Client: s.cfg.Client, Backup: s.cfg.Backup, Session: cur.Session, Subject: pipeline.SubjectWAL,
		Codec: messages.CodecLZ4, Workers: 1, Strict: s.cfg.Strict})
	if err != nil {
		return err
	}
	w := &writer{feed: fd, pos: start, base: start, tli: cur.Timeline, size: size, resumed: resumed, again: known}
	if cur.Timeline > 1 && !resumed {
		if err := w.history(ctx, conn); err != nil {
			fd.Abort(err)
			return err
		}
	}
	if !sealed {
		if err := w.reopen(); err != nil {
			fd.Abort(err)
			return err
		}
	}
	err = s.cfg.Append(ctx, stageName, messages.EventWALStarted, messages.WALStarted{StartLSN: messages.LSN(start), Timeline: cur.Timeline, Slot: s.slot, Resumed: resumed})
	if err != nil {
		fd.Abort(err)
		return err
	}
	s.w = w
	s.shown.Store(w)
	return nil
}

// lastDurable returns the end of the WAL that the index speaks of, 0 when there is none, what it says of the segment there, and whether that segment
// was sealed.
func (s *Stage) lastDurable(ctx context.Context, size int64, tli uint32) (postgres.LSN, segmentSum, bool, error) {
	var last, seals postgres.LSN // seals: the end of the last segment that was sealed
	var sum segmentSum
	var chunks []messages.PartChunk
	err := s.cfg.Client.Index(ctx, s.cfg.Backup, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var r messages.Record
		for {
			if err := rd.Next(&r); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return fmt.Errorf("index of backup %q: %w", s.cfg.Backup, err)
			}
			if r.Kind != messages.KindPart && r.Kind != messages.KindSeal || r.Tree != messages.TreeWAL || strings.Contains(r.Path, "/") {
				continue
			}
			t, seg, err := postgres.ParseSegmentName(r.Path, size)
			if err != nil || t != tli {
				continue // a history file
			}
			if r.Kind == messages.KindSeal {
				seals = max(seals, seg+postgres.LSN(size))
				continue
			}
			if chunks, err = r.PartChunks(chunks[:0]); err != nil {
				return err
			}
			end := seg + postgres.LSN(r.Offset)
			for _, c := range chunks {
				sum.add(end, c, size)
				end += postgres.LSN(c.Len)
			}
			last = max(last, end)
		}
	})
	return last, sum, last <= seals, err
}
