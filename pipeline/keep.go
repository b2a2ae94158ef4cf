package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Janitor removes chunks that every live target has acknowledged for as long as keep, until ctx ends. Streams without keep do that by themselves.
func (c *Client) Janitor(ctx context.Context, id string, keep time.Duration, live func(State) []string) error {
	type sample struct {
		at    time.Time
		floor uint64
	}
	var past []sample
	interval := max(min(keep/10, 10*time.Second), 100*time.Millisecond)
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
		past = append(past, sample{now, floor})
		var purge uint64
		for len(past) > 0 && now.Sub(past[0].at) >= keep {
			purge, past = past[0].floor, past[1:]
		}
		if purge == 0 {
			continue
		}
		s, err := c.js.Stream(ctx, chunkStream+id)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		if err == nil {
			err = s.Purge(ctx, jetstream.WithPurgeSequence(purge+1))
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", chunkStream+id, err)
		}
	}
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
		s, err := c.js.Stream(ctx, name)
		if err != nil {
			return c.streamError(name, err)
		}
		cfg := s.CachedInfo().Config
		cfg.MaxAge = max(keep, time.Second)
		cfg.Duplicates = min(cfg.Duplicates, cfg.MaxAge)
		if _, err := c.js.UpdateStream(ctx, cfg); err != nil {
			return c.streamError(name, err)
		}
	}
	return nil
}
