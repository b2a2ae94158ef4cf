package storage

import (
	"strings"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
)

// quiet is how long no message has come when the stage says that it waits for one.
const quiet = 2 * time.Second

// progress is what the stage tells of itself.
func (s *Stage) progress() pipeline.Progress {
	p := pipeline.Progress{Stage: stageName, Target: s.cfg.Target.Name}
	l := s.loop.Load()
	if l == nil {
		p.Waiting = "the source to be in backup mode"
		return p
	}
	p.Written, p.Files = l.written.Load(), l.files.Load()
	if lsn := l.lsn.Load(); lsn > 0 {
		p.LSN = postgres.LSN(lsn).String()
	}
	switch {
	case l.throttled.Load():
		p.Waiting = "the rate limit"
	case time.Since(time.Unix(0, l.active.Load())) > quiet:
		p.Waiting = "chunks from the source"
	}
	return p
}

// note keeps what progress tells of a record that was applied.
func (l *loop) note(r *messages.Record) {
	switch {
	case r.Kind == messages.KindSeal:
		l.files.Add(1)
	case r.Kind == messages.KindData && r.Tree == messages.TreeWAL && l.s.segment > 0 && !strings.Contains(r.Path, "/"):
		if _, seg, err := postgres.ParseSegmentName(r.Path, l.s.segment); err == nil {
			if end := uint64(seg) + uint64(r.Offset) + uint64(r.RawLen); end > l.lsn.Load() {
				l.lsn.Store(end)
			}
		}
	}
}
