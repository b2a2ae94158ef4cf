package polarcast

import (
	"context"
	"fmt"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
)

// pollLag is how often targets are compared with --max-lag.
const pollLag = 500 * time.Millisecond

// behind is how far one target is.
type behind struct {
	name  string
	bytes int64
}

// worst returns the target that is to be dropped, nil for none: one that is too far behind while another one is not. So the last one is never
// dropped, and no one for what all of them have in common.
func worst(lags []behind, bound int64) *behind {
	if len(lags) < 2 {
		return nil
	}
	w, best := &lags[0], &lags[0]
	for i := range lags {
		if lags[i].bytes > w.bytes {
			w = &lags[i]
		}
		if lags[i].bytes < best.bytes {
			best = &lags[i]
		}
	}
	if w.bytes <= bound || best.bytes > bound {
		return nil
	}
	return w
}

// watchLag drops targets that are more than bound bytes behind, until ctx ends.
func (s *Sender) watchLag(ctx context.Context, bound int64) error {
	for {
		select {
		case <-time.After(pollLag):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		st, err := s.env.Log().State(ctx)
		if err != nil {
			return err
		}
		lags, err := targetLags(ctx, s.Client, st)
		if err != nil {
			return err
		}
		w := worst(lags, bound)
		if w == nil {
			continue
		}
		reason := fmt.Sprintf("it was %s behind, more than --max-lag allows (%s)", FormatSize(float64(w.bytes)), FormatSize(float64(bound)))
		if err := s.drop(ctx, w.name, reason); err != nil {
			return err
		}
	}
}

// targetLags returns how many bytes of the chunk stream no process of a target has taken yet, for each target that is served.
func targetLags(ctx context.Context, c *pipeline.Client, st pipeline.State) ([]behind, error) {
	info, err := c.ChunkStream(ctx, st.Backup)
	if err != nil {
		return nil, err
	}
	var lags []behind
	for _, t := range stages.LiveTargets(st) {
		if st.Targets[t].Written != nil {
			lags = append(lags, behind{name: t})
			continue
		}
		l, err := c.TargetLag(ctx, st.Backup, t)
		if err != nil {
			return nil, err
		}
		// What a process has taken and not made durable yet is bounded, and a matter of seconds: only what nobody has taken counts.
		lags = append(lags, behind{name: t, bytes: lagBytes(info, pipeline.Lag{Pending: l.Pending})})
	}
	return lags, nil
}

// lagBytes estimates the bytes of messages that a target has not acknowledged: their number times the stream's mean.
func lagBytes(info pipeline.StreamInfo, l pipeline.Lag) int64 {
	if info.Messages == 0 {
		return 0
	}
	open := int64(l.Pending) + int64(l.AckPending)
	return int64(float64(open) * float64(info.Bytes) / float64(info.Messages))
}

// drop gives up a target, loudly.
func (s *Sender) drop(ctx context.Context, target, reason string) error {
	dropped := false
	err := s.env.AppendIf(ctx, "send", messages.EventTargetDropped, messages.TargetDropped{Target: target, Reason: reason}, func(st pipeline.State) error {
		t := st.Targets[target]
		dropped = t.Dropped == nil && t.Failed == nil && t.Configured == nil && len(stages.LiveTargets(st)) > 1
		if !dropped {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
	if err != nil || !dropped {
		return err
	}
	s.Logger.Warn("TARGET DROPPED: \"" + target + "\" gets no more of backup \"" + s.Backup + "\": " + reason)
	return s.Client.RemoveTarget(ctx, s.Backup, target)
}
