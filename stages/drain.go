package stages

import (
	"context"
	"time"
)

// pollDrain is how often a target's consumer is asked how far it is.
const pollDrain = 50 * time.Millisecond

// Drained waits until every target that is still served has acknowledged all that was in the chunk stream when it was called. waiting, when set,
// is told once which target holds it up.
func (e Env) Drained(ctx context.Context, waiting func(target string)) error {
	info, err := e.Client.ChunkStream(ctx, e.Backup)
	if err != nil {
		return err
	}
	for {
		st, err := e.Log().State(ctx)
		if err != nil {
			return err
		}
		if err := st.Terminal(); err != nil {
			return err
		}
		behind := ""
		for _, name := range ServedTargets(st) {
			lag, err := e.Client.TargetLag(ctx, e.Backup, name)
			if err != nil {
				return err
			}
			if lag.AckFloor < info.LastSeq && (lag.Pending > 0 || lag.AckPending > 0) {
				behind = name
				break
			}
		}
		if behind == "" {
			return nil
		}
		if waiting != nil {
			waiting(behind)
			waiting = nil
		}
		select {
		case <-time.After(pollDrain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
