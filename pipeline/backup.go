package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
)

// CreateBackup makes the streams of a backup, a durable consumer for each target, and the first event. It does nothing that is done, so it
// may be called again after it failed half-way.
func (c *Client) CreateBackup(ctx context.Context, id string, req messages.Requested, so StreamOptions) error {
	if err := ValidName("backup", id); err != nil {
		return err
	}
	for i, t := range so.Targets {
		if err := ValidName("target", t); err != nil {
			return err
		}
		if slices.Contains(so.Targets[:i], t) {
			return fmt.Errorf("target %q is named twice", t)
		}
	}
	if len(so.Targets) == 0 && so.Keep == 0 {
		// JetStream confirms what nobody is interested in, and throws it away.
		return fmt.Errorf("backup %q has no target: name one, or keep its chunks for a while so that one may join", id)
	}
	if err := c.ensure(ctx, c.eventConfig()); err != nil {
		return err
	}
	for _, cfg := range c.streamConfigs(id, so) {
		if err := c.ensure(ctx, cfg); err != nil {
			return err
		}
	}
	for _, t := range so.Targets {
		if err := c.AddTarget(ctx, id, t); err != nil {
			return err
		}
	}
	return c.Log(id).AppendIf(ctx, "request", "", messages.NewEvent(messages.EventRequested, req), func(st State) error {
		if st.Requested != nil {
			return ErrSkip
		}
		return nil
	})
}

// AddTarget makes the durable consumer of a target. One that is there stays as it is.
func (c *Client) AddTarget(ctx context.Context, id, target string) error {
	if err := ValidName("target", target); err != nil {
		return err
	}
	return c.ensureConsumer(ctx, chunkStream+id, jetstream.ConsumerConfig{Durable: consumerName(target),
		Description: "polarcast: chunks that target " + target + " has not written yet"})
}

func (c *Client) ensureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) error {
	cfg.AckPolicy, cfg.AckWait, cfg.MaxAckPending, cfg.MaxDeliver = jetstream.AckExplicitPolicy, ackWait, maxAckPending, -1
	cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	err := c.tryMaking(ctx, setup, func(ctx context.Context) error {
		_, err := c.js.Consumer(ctx, stream, cfg.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			_, err = c.js.CreateConsumer(ctx, stream, cfg)
			if errors.Is(err, jetstream.ErrConsumerExists) {
				return nil // another process was faster
			}
		}
		return err
	})
	if isGone(err) {
		return c.streamError(stream, err)
	}
	if err != nil {
		return c.apiError(fmt.Sprintf("consumer %s of stream %s", cfg.Durable, stream), err)
	}
	return nil
}

// RemoveTarget removes the consumer of a target: chunks are not kept for it any more.
func (c *Client) RemoveTarget(ctx context.Context, id, target string) error {
	err := c.tryFor(ctx, outage, func(ctx context.Context) error { return c.js.DeleteConsumer(ctx, chunkStream+id, consumerName(target)) })
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !isGone(err) {
		return c.apiError(fmt.Sprintf("the consumer of target %q of backup %q", target, id), err)
	}
	return nil
}

// DropStreams removes the streams of a backup. Its event log stays.
func (c *Client) DropStreams(ctx context.Context, id string) error {
	for _, s := range []string{chunkStream, indexStream, workStream} {
		err := c.tryFor(ctx, outage, func(ctx context.Context) error { return c.js.DeleteStream(ctx, s+id) })
		if err != nil && !isGone(err) {
			return c.streamError(s+id, err)
		}
	}
	return nil
}

// AnyStream reports whether JetStream holds a stream of a backup, whatever the event log says.
func (c *Client) AnyStream(ctx context.Context, id string) (bool, error) {
	for _, s := range []string{chunkStream, indexStream, workStream} {
		_, err := c.info(ctx, s+id)
		if err == nil {
			return true, nil
		}
		if !isGone(err) {
			return false, c.streamError(s+id, err)
		}
	}
	return false, nil
}

// RemoveBackup removes everything that JetStream holds of a backup. Logs of it that are still watched end with ErrRemoved.
func (c *Client) RemoveBackup(ctx context.Context, id string) error {
	if err := ValidName("backup", id); err != nil {
		return err
	}
	if err := c.DropStreams(ctx, id); err != nil {
		return err
	}
	if err := c.removeLeases(ctx, id); err != nil {
		return err
	}
	if err := c.purge(ctx, eventStream, eventPrefix+id); err != nil {
		return err
	}
	c.mu.Lock()
	l := c.logs[id]
	delete(c.logs, id)
	c.mu.Unlock()
	if l != nil {
		l.close(ErrRemoved)
	}
	return nil
}

// purge removes all messages of a subject.
func (c *Client) purge(ctx context.Context, stream, subject string) error {
	err := c.try(ctx, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, stream)
		if err == nil {
			err = s.Purge(ctx, jetstream.WithPurgeSubject(subject))
		}
		return err
	})
	if err != nil && !isGone(err) {
		return c.streamError(stream, err)
	}
	return nil
}

// Backups returns the ids of all backups that have an event log, sorted.
func (c *Client) Backups(ctx context.Context) ([]string, error) {
	var info *jetstream.StreamInfo
	err := c.try(ctx, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, eventStream)
		if err == nil {
			info, err = s.Info(ctx, jetstream.WithSubjectFilter(eventPrefix+"*"))
		}
		return err
	})
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.streamError(eventStream, err)
	}
	var ids []string
	for subject := range info.State.Subjects {
		ids = append(ids, strings.TrimPrefix(subject, eventPrefix))
	}
	sort.Strings(ids)
	return ids, nil
}
