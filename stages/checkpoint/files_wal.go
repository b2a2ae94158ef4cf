package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
)

// captured is one piece of WAL in the index.
type captured struct {
	start postgres.LSN
	chunk messages.PartChunk
}

// sameWAL checks that the captured WAL has no gap since the first session's start, and that the server still has the same at its end: a storage that was
// set back to an earlier moment writes other WAL at the same positions. The last segment may have a few bytes only, which prove little: the one before it is
// compared too.
func (s *session) sameWAL(ctx context.Context, a messages.SessionStarted) error {
	size := s.st.Prepared.WALSegmentSize
	from := postgres.LSN(a.StartLSN).SegmentStart(size)
	next := from
	var last []captured
	var chunks []messages.PartChunk
	err := s.f.cfg.Client.Index(ctx, s.f.cfg.Backup, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var r messages.Record
		for {
			if err := rd.Next(&r); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			if r.Kind != messages.KindPart || r.Tree != messages.TreeWAL {
				continue
			}
			tli, seg, err := postgres.ParseSegmentName(r.Path, size)
			if err != nil || tli != a.Timeline {
				continue // a history file
			}
			if chunks, err = r.PartChunks(chunks[:0]); err != nil {
				return err
			}
			at := seg + postgres.LSN(r.Offset)
			for _, c := range chunks {
				if at <= next {
					next = max(next, at+postgres.LSN(c.Len))
				}
				last = append(last, captured{at, c})
				at += postgres.LSN(c.Len)
			}
			keep := max(from, (next-1).SegmentStart(size)-postgres.LSN(size))
			for len(last) > 0 && last[0].start < keep {
				last = last[1:]
			}
		}
	})
	if err != nil {
		return err
	}
	if next <= from {
		return errStitch{"no WAL of the first session was captured"}
	}
	for _, c := range last {
		path := "pg_wal/" + postgres.SegmentName(a.Timeline, c.start, size)
		b := make([]byte, c.chunk.Len)
		h, err := s.src.Open(ctx, s.controlTree(), path)
		if err == nil {
			_, err = h.ReadAt(b, c.start.SegmentOffset(size))
			_ = h.Close()
		}
		if err != nil {
			return errStitch{fmt.Sprintf("the server's WAL at %s cannot be compared with what was captured: %v", c.start, err)}
		}
		if messages.Hash128(b) != c.chunk.Hash {
			return errStitch{fmt.Sprintf("the server's WAL at %s is not what it was: it was set back to an earlier moment", c.start)}
		}
	}
	return nil
}
