package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Attempts of ReadControl, and the time between two. Ten times ten milliseconds is what the server's own programs do
// (get_controlfile since 17); a remote reader gets a longer chance.
const (
	controlAttempts = 100
	controlInterval = 10 * time.Millisecond
)

// ReadControl calls read until it delivers a control file whose CRC fits: a running server overwrites the file in place, and a copy may be torn. It
// gives up with the last error when ctx ends or after about a second plus the time of the reads; every other error ends it at once.
func ReadControl(ctx context.Context, read func(context.Context) ([]byte, error)) (*Control, error) {
	var last error
	for attempt := 1; ; attempt++ {
		data, err := read(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", ControlFilePath, err)
		}
		c, err := ParseControl(data)
		if err == nil {
			return c, nil
		}
		last = fmt.Errorf("read %s: %w", ControlFilePath, err)
		// A file that is rewritten through truncation may be short for a moment.
		if !errors.Is(err, ErrControlChecksum) && !errors.Is(err, ErrControlShort) || attempt == controlAttempts {
			return nil, last
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", last, ctx.Err())
		case <-time.After(controlInterval):
		}
	}
}
