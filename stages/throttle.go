package stages

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"polarcast/pipeline"
)

// Throttle limits a rate of bytes. The limit comes from the event log, so it can be changed while a backup runs.
type Throttle struct {
	mu  sync.Mutex
	lim *rate.Limiter
	set int64
}

// throttleBurst is how many bytes may pass at once; it is more than the largest single call, so that Wait never refuses.
const throttleBurst = 4 << 20

// NewThrottle follows the limit of a target, or of the source when target is empty, until ctx ends. Files are read at the backup's maximum rate as
// long as no other limit was set; with the stream source the server itself keeps that.
func NewThrottle(ctx context.Context, env Env, target string) *Throttle {
	t := &Throttle{lim: rate.NewLimiter(rate.Inf, throttleBurst)}
	go func() {
		_, _ = env.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
			limit, set := st.Limits[target]
			if r := st.Requested; !set && target == "" && r != nil && r.Source == "files" {
				limit = int64(r.Options.MaxRate) << 10
			}
			t.apply(limit)
			return false, nil
		})
	}()
	return t
}

func (t *Throttle) apply(bytesPerSecond int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if bytesPerSecond == t.set {
		return
	}
	t.set = bytesPerSecond
	if bytesPerSecond <= 0 {
		t.lim.SetLimit(rate.Inf)
		return
	}
	t.lim.SetLimit(rate.Limit(bytesPerSecond))
}

// Wait returns when n more bytes may pass.
func (t *Throttle) Wait(ctx context.Context, n int) error {
	for n > 0 {
		m := min(n, throttleBurst)
		if err := t.lim.WaitN(ctx, m); err != nil {
			return err
		}
		n -= m
	}
	return nil
}
