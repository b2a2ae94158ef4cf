package wal

import (
	"context"
	"fmt"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/feed"
)

// writer cuts WAL into segments.
type writer struct {
	feed     *feed.Feed
	base     postgres.LSN // where it began
	pos      postgres.LSN // next byte
	tli      uint32
	size     int64 // of a segment
	extra    int64 // bytes that went through the feed before base: history files
	segments int64
	open     bool
	resumed  bool // WAL before base was captured by another process
	again    again
}

// captured reports whether there is any WAL before pos.
func (w *writer) captured() bool { return w.resumed || w.pos > w.base }

// durable is the position up to which JetStream holds all WAL.
func (w *writer) durable() postgres.LSN {
	c := w.feed.Totals().ConfirmedBytes - w.extra
	if c <= 0 {
		return 0
	}
	return w.base + postgres.LSN(c)
}

// write adds the WAL at start, which must be where the last one ended.
func (w *writer) write(start postgres.LSN, p []byte) error {
	if w.again.comparing {
		n, err := w.again.compare(start, p, w.pos)
		if err != nil || n == len(p) {
			return err
		}
		start, p = start+postgres.LSN(n), p[n:]
	}
	if start != w.pos {
		return fmt.Errorf("got WAL data at %s, expected %s", start, w.pos)
	}
	for len(p) > 0 {
		off := int64(uint64(w.pos) % uint64(w.size))
		if !w.open {
			name := postgres.SegmentName(w.tli, w.pos, w.size)
			if err := w.feed.StartFile(messages.Record{Tree: messages.TreeWAL, Path: name}, w.size); err != nil {
				return err
			}
			if off > 0 {
				w.feed.Skip(off)
			}
			w.open = true
		}
		n := min(int64(len(p)), w.size-off)
		if err := w.feed.Write(p[:n]); err != nil {
			return err
		}
		w.again.wrote(off, p[:n])
		w.pos += postgres.LSN(n)
		p = p[n:]
		if off+n == w.size {
			if err := w.closeSegment(); err != nil {
				return err
			}
		}
	}
	return nil
}

// reopen begins the segment before pos once more: the process that captured it was killed before it had sealed it, and there may be nothing left to write.
func (w *writer) reopen() error {
	start := (w.pos - 1).SegmentStart(w.size)
	if err := w.feed.StartFile(messages.Record{Tree: messages.TreeWAL, Path: postgres.SegmentName(w.tli, start, w.size)}, w.size); err != nil {
		return err
	}
	w.feed.Skip(int64(w.pos - start))
	if w.open = true; int64(w.pos-start) == w.size {
		return w.closeSegment()
	}
	return nil
}

// closeSegment seals a complete segment and marks it as archived, so that a new node does not archive it again (receivelog.c, mark_done).
func (w *writer) closeSegment() error {
	w.open = false
	w.segments++
	if err := w.feed.EndFile(); err != nil {
		return err
	}
	return w.empty("archive_status/" + postgres.SegmentName(w.tli, w.pos-1, w.size) + ".done")
}

// endSegment seals the last segment. What follows its WAL reads as zeros.
func (w *writer) endSegment() error {
	if !w.open {
		return nil
	}
	w.open = false
	w.segments++
	return w.feed.EndPartial(w.size)
}

func (w *writer) empty(path string) error {
	if err := w.feed.StartFile(messages.Record{Tree: messages.TreeWAL, Path: path}, 0); err != nil {
		return err
	}
	return w.feed.EndFile()
}

// history publishes the history file of the timeline, without which a node on a timeline above 1 does not know where it came from.
func (w *writer) history(ctx context.Context, conn *postgres.Conn) error {
	name, content, err := conn.TimelineHistory(ctx, w.tli)
	if err != nil {
		return err
	}
	if err := messages.ValidPath(name); err != nil {
		return err
	}
	if err := w.feed.StartFile(messages.Record{Tree: messages.TreeWAL, Path: name}, int64(len(content))); err != nil {
		return err
	}
	if err := w.feed.Write(content); err != nil {
		return err
	}
	if err := w.feed.EndFile(); err != nil {
		return err
	}
	w.extra = int64(len(content))
	return w.empty("archive_status/" + name + ".done")
}
