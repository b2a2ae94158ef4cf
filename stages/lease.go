package stages

import (
	"context"
	"errors"
	"time"

	"polarcast/pipeline"
)

// LeaseTTL is how long a stage that leads may be silent before another one takes over.
const LeaseTTL = 10 * time.Second

// ErrFenced ends a stage whose lease was taken over by another process.
var ErrFenced = errors.New("another process has taken over this stage")

// WithLease returns a context that ends when the lease is lost, so that a stage that was believed dead does nothing more.
func WithLease(ctx context.Context, l *pipeline.Lease) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-l.Lost():
			cancel(ErrFenced)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
