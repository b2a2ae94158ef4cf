package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
)

// StreamOptions says how a backup's streams are kept.
type StreamOptions struct {
	// MaxBytes bounds the chunk stream; 0 is 1 GiB. A full stream holds the readers back.
	MaxBytes int64
	// Keep holds chunks that all targets have acknowledged for so long, so that a target may join late.
	Keep time.Duration
	// Targets that the backup has from the start.
	Targets  []string
	Replicas int
}

// ackWait is how long a message may be held without a sign of life before another process gets it.
const ackWait = 10 * time.Second

// maxAckPending bounds the messages that the processes of one target hold together.
const maxAckPending = 8192

// CreateBackup makes the streams of a backup, a durable consumer for each target, and the first event. It does nothing that is done.
func (c *Client) CreateBackup(ctx context.Context, id string, req messages.Requested, so StreamOptions) error {
	if err := ValidName("backup", id); err != nil {
		return err
	}
	for i, t := range so.Targets {
		if err := ValidName("target", t); err != nil {
			return err
		}
		for _, u := range so.Targets[:i] {
			if t == u {
				return fmt.Errorf("target %q is named twice", t)
			}
		}
	}
	if err := c.ensureEvents(ctx); err != nil {
		return err
	}
	for _, cfg := range c.streamConfigs(id, so) {
		if _, err := c.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return c.streamError(cfg.Name, err)
		}
	}
	for _, t := range so.Targets {
		if err := c.AddTarget(ctx, id, t); err != nil {
			return err
		}
	}
	l := c.Log(id)
	st, err := l.State(ctx)
	if err != nil || st.Requested != nil {
		return err
	}
	err = l.AppendIf(ctx, "request", "", messages.NewEvent(messages.EventRequested, req), func(st State) error {
		if st.Requested != nil {
			return ErrSkip
		}
		return nil
	})
	return err
}

func (c *Client) ensureEvents(ctx context.Context) error {
	_, err := c.js.Stream(ctx, eventStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = c.js.CreateStream(ctx, jetstream.StreamConfig{Name: eventStream, Subjects: []string{eventPrefix + "*"}, Storage: jetstream.FileStorage,
			Retention: jetstream.LimitsPolicy, Replicas: c.replicas, AllowDirect: true, Description: "polarcast: the event log of all backups"})
	}
	if err != nil {
		return c.streamError(eventStream, err)
	}
	return nil
}

func (c *Client) streamConfigs(id string, so StreamOptions) []jetstream.StreamConfig {
	if so.MaxBytes == 0 {
		so.MaxBytes = 1 << 30
	}
	replicas := so.Replicas
	if replicas == 0 {
		replicas = c.replicas
	}
	chunks := jetstream.StreamConfig{Name: chunkStream + id, Subjects: []string{chunkPrefix + id + ".>"}, Storage: jetstream.FileStorage,
		Retention: jetstream.InterestPolicy, Discard: jetstream.DiscardNew, MaxBytes: so.MaxBytes, Replicas: replicas,
		Duplicates: 2 * time.Minute, Description: "polarcast: chunks of backup " + id}
	if so.Keep > 0 {
		chunks.Retention = jetstream.LimitsPolicy
	}
	index := jetstream.StreamConfig{Name: indexStream + id, Subjects: []string{indexPrefix + id + ".>"}, Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Replicas: replicas, Duplicates: 2 * time.Minute, AllowDirect: true,
		Description: "polarcast: what of backup " + id + " was published and what the targets hold"}
	return []jetstream.StreamConfig{chunks, index}
}

// AddTarget makes the durable consumer of a target. One that is there stays as it is.
func (c *Client) AddTarget(ctx context.Context, id, target string) error {
	s, err := c.js.Stream(ctx, chunkStream+id)
	if err != nil {
		return c.streamError(chunkStream+id, err)
	}
	_, err = s.Consumer(ctx, consumerName(target))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err = s.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: consumerName(target), AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: ackWait, MaxAckPending: maxAckPending, MaxDeliver: -1, DeliverPolicy: jetstream.DeliverAllPolicy})
	}
	if err != nil {
		return fmt.Errorf("consumer of target %q of backup %q: %w", target, id, err)
	}
	return nil
}

// RemoveTarget removes the consumer of a target: its chunks are not kept for it any more.
func (c *Client) RemoveTarget(ctx context.Context, id, target string) error {
	err := c.js.DeleteConsumer(ctx, chunkStream+id, consumerName(target))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("consumer of target %q of backup %q: %w", target, id, err)
	}
	return nil
}

// DropStreams removes the streams of a backup. Its event log stays.
func (c *Client) DropStreams(ctx context.Context, id string) error {
	for _, s := range []string{chunkStream, indexStream, workStream} {
		if err := c.js.DeleteStream(ctx, s+id); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return c.streamError(s+id, err)
		}
	}
	return nil
}

// RemoveBackup removes everything that JetStream holds of a backup.
func (c *Client) RemoveBackup(ctx context.Context, id string) error {
	if err := c.DropStreams(ctx, id); err != nil {
		return err
	}
	if err := c.removeLeases(ctx, id); err != nil {
		return err
	}
	s, err := c.js.Stream(ctx, eventStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(eventPrefix+id))
	}
	if err != nil {
		return c.streamError(eventStream, err)
	}
	c.mu.Lock()
	if l := c.logs[id]; l != nil {
		l.close()
		delete(c.logs, id)
	}
	c.mu.Unlock()
	return nil
}

// Backups returns the ids of all backups that have events, sorted.
func (c *Client) Backups(ctx context.Context) ([]string, error) {
	s, err := c.js.Stream(ctx, eventStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, c.streamError(eventStream, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(eventPrefix+"*"))
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

// StreamInfo is what a chunk stream holds.
type StreamInfo struct {
	Messages, FirstSeq, LastSeq uint64
	Bytes, MaxBytes             int64
}

// ChunkStream returns what the chunk stream of a backup holds.
func (c *Client) ChunkStream(ctx context.Context, id string) (StreamInfo, error) {
	s, err := c.js.Stream(ctx, chunkStream+id)
	if err != nil {
		return StreamInfo{}, c.streamError(chunkStream+id, err)
	}
	i := s.CachedInfo()
	return StreamInfo{Messages: i.State.Msgs, FirstSeq: i.State.FirstSeq, LastSeq: i.State.LastSeq, Bytes: int64(i.State.Bytes), MaxBytes: i.Config.MaxBytes}, nil
}

// Lag is what a target has still to do.
type Lag struct {
	Pending    uint64 // messages not delivered
	AckPending int    // messages delivered and not acknowledged
	AckFloor   uint64 // everything up to this position is acknowledged
}

// TargetLag returns what a target has still to do.
func (c *Client) TargetLag(ctx context.Context, id, target string) (Lag, error) {
	return c.lag(ctx, chunkStream+id, consumerName(target), fmt.Sprintf("target %q of backup %q", target, id))
}

func (c *Client) lag(ctx context.Context, stream, consumer, what string) (Lag, error) {
	rctx, cancel := c.request(ctx)
	defer cancel()
	cons, err := c.js.Consumer(rctx, stream, consumer)
	if isGone(err) {
		return Lag{}, c.streamError(stream, err)
	}
	if err != nil {
		return Lag{}, fmt.Errorf("consumer of %s at %s: %w", what, c.where, cause(rctx, err))
	}
	i := cons.CachedInfo()
	return Lag{Pending: i.NumPending, AckPending: i.NumAckPending, AckFloor: i.AckFloor.Stream}, nil
}
