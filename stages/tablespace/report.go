package tablespace

import (
	"context"
	"sync"

	"polarcast/pipeline"
	"polarcast/stages"
)

// reporter tells how far a reader is, and what it waits for while it does not read. What it waits for comes with the figures of the last
// session, so that counters made of them do not fall back to zero when all is read.
type reporter struct {
	env  stages.Env
	mu   sync.Mutex
	last pipeline.Progress
}

// reading reports what fill returns until the returned function is called, and once more then.
func (r *reporter) reading(ctx context.Context, fill func() pipeline.Progress) (stop func()) {
	return stages.Report(ctx, r.env, func() pipeline.Progress {
		p := fill()
		p.Stage = stageName
		r.mu.Lock()
		defer r.mu.Unlock()
		r.last = p
		return p
	})
}

// idle reports what the stage waits for until the returned function is called.
func (r *reporter) idle(ctx context.Context, what string) (stop func()) {
	return stages.Report(ctx, r.env, func() pipeline.Progress {
		r.mu.Lock()
		defer r.mu.Unlock()
		p := r.last
		p.Stage, p.Waiting = stageName, what
		return p
	})
}

// waitsFor is what a reader waits for when it is held back by a full stream.
func waitsFor(full bool) string {
	if full {
		return "room in the buffer: a target is slow, or is not served"
	}
	return ""
}
