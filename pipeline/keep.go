package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrKeepFull says that the chunks that are kept leave no room for further ones.
var ErrKeepFull = errors.New("the buffer is full of chunks that are kept")

// keepPatience is how long a buffer may stand full of chunks that are only kept before that is an error.
const keepPatience = time.Minute

// Janitor removes chunks that every live target has acknowledged for as long as keep, until ctx ends. Streams without keep do that by themselves.
// It is ErrKeepFull when the readers wait for room that keep gives back only in more than keepPatience.
func (c *Client) Janitor(ctx context.Context, id string, keep time.Duration, live func(State) []string) error {
	type sample struct {
		at    time.Time
		floor uint64
	}
	var past []sample
	interval := max(min(keep/10, 2*time.Second), 100*time.Millisecond)
	for {
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return nil
		}
		st, err := c.Log(id).State(ctx)
		if err != nil {
			return err
		}
		info, err := c.ChunkStream(ctx, id)
		if errors.Is(err, ErrNoStream) {
			return nil
		}
		if err != nil {
			return err
		}
		var floor uint64
		for i, t := range live(st) {
			lag, err := c.TargetLag(ctx, id, t)
			if err != nil {
				return err
			}
			if i == 0 || lag.AckFloor < floor {
				floor = lag.AckFloor
			}
		}
		now := time.Now()
		if room := info.MaxBytes - info.Bytes; info.MaxBytes > 0 && room < 2*minPayload && floor >= info.LastSeq && len(live(st)) > 0 && !isRead(st) {
			if len(past) > 0 && past[len(past)-1].floor == floor && keep-now.Sub(past[0].at) > keepPatience {
				return fmt.Errorf("%w: all targets of backup %q have written the %d bytes that the buffer takes, and --keep=%s holds them: start the same command with a larger --buffer, or begin the backup anew with a shorter --keep",
					ErrKeepFull, id, info.MaxBytes, keep)
			}
		}
		past = append(past, sample{now, floor})
		var purge uint64
		for len(past) > 0 && now.Sub(past[0].at) >= keep {
			purge, past = past[0].floor, past[1:]
		}
		if purge == 0 {
			continue
		}
		err = c.tryFor(ctx, outage, func(ctx context.Context) error {
			s, err := c.js.Stream(ctx, chunkStream+id)
			if err == nil {
				err = s.Purge(ctx, jetstream.WithPurgeSequence(purge+1))
			}
			return err
		})
		switch {
		case err == nil:
		case isGone(err), ctx.Err() != nil:
			return nil
		default:
			return c.streamError(chunkStream+id, err)
		}
	}
}

// isRead reports whether nothing more is published for a backup.
func isRead(st State) bool {
	cur := st.Session()
	return cur != nil && cur.ReadDone != nil && (st.Requested.WALMethod != "stream" || st.WALCaptured != nil)
}

// HasStreams is ErrNoStream when JetStream has lost a stream of a backup that is on its way: nobody can go on with it then.
func (c *Client) HasStreams(ctx context.Context, id string) error {
	for _, stream := range []string{chunkStream, indexStream} {
		if _, err := c.info(ctx, stream+id); err != nil {
			return c.streamError(stream+id, err)
		}
	}
	return nil
}

// Enlarge lets the chunk stream of a backup hold more. One that holds as much already stays as it is.
func (c *Client) Enlarge(ctx context.Context, id string, bytes int64) error {
	err := c.try(ctx, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, chunkStream+id)
		if err != nil {
			return err
		}
		cfg := s.CachedInfo().Config
		if cfg.MaxBytes >= bytes {
			return nil
		}
		cfg.MaxBytes = bytes
		_, err = c.js.UpdateStream(ctx, cfg)
		return err
	})
	if err != nil {
		return c.streamError(chunkStream+id, err)
	}
	return nil
}

// ErrTooLate says that a target cannot join because chunks are gone.
var ErrTooLate = errors.New("chunks of the backup are not kept any more")

// JoinTarget adds a target to a backup that has begun. It is ErrTooLate when chunks were removed already.
func (c *Client) JoinTarget(ctx context.Context, id, target string) error {
	info, err := c.ChunkStream(ctx, id)
	if err != nil {
		return err
	}
	if info.Messages < info.LastSeq {
		return fmt.Errorf("target %q cannot join backup %q: %w (%d of %d are left): name it in send's --target, or send with --keep", target, id, ErrTooLate, info.Messages, info.LastSeq)
	}
	if err := c.AddTarget(ctx, id, target); err != nil {
		return err
	}
	// A chunk that was removed between the look and the consumer's creation would be missing: look again.
	if info, err = c.ChunkStream(ctx, id); err != nil {
		return err
	}
	if info.Messages < info.LastSeq {
		return errors.Join(fmt.Errorf("target %q cannot join backup %q: %w", target, id, ErrTooLate), c.RemoveTarget(ctx, id, target))
	}
	return nil
}

// KeepFor lets the streams of a complete backup run out after a time.
func (c *Client) KeepFor(ctx context.Context, id string, keep time.Duration) error {
	for _, name := range []string{chunkStream + id, indexStream + id} {
		err := c.tryFor(ctx, outage, func(ctx context.Context) error {
			s, err := c.js.Stream(ctx, name)
			if err != nil {
				return err
			}
			cfg := s.CachedInfo().Config
			cfg.MaxAge = max(keep, time.Second)
			cfg.Duplicates = min(cfg.Duplicates, cfg.MaxAge)
			_, err = c.js.UpdateStream(ctx, cfg)
			return err
		})
		if err != nil {
			return c.streamError(name, err)
		}
	}
	return nil
}
