package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// StreamOptions says how a backup's streams are kept.
type StreamOptions struct {
	// MaxBytes bounds the chunk stream; 0 is 1 GiB. A full stream holds the readers back.
	MaxBytes int64
	// Keep holds chunks that all targets have acknowledged for so long, so that a target may join late.
	Keep time.Duration
	// Targets that the backup has from the start.
	Targets []string
	// Replicas of the streams; 0 is what the client was told.
	Replicas int
}

// ackWait is how long a message may be held without a sign of life before another process gets it.
const ackWait = 10 * time.Second

// maxAckPending bounds the messages that the processes of one target hold together. Each bounds its bytes by itself.
const maxAckPending = 8192

// eventConfig is the event log of all backups. Reads go to the leader (no direct reads): a replica that lags behind would show an old state.
func (c *Client) eventConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{Name: eventStream, Subjects: []string{eventPrefix + "*"}, Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Replicas: c.replicas, Description: "polarcast: the event log of all backups"}
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
		Duplicates: duplicateWindow, Description: "polarcast: chunks of backup " + id}
	if so.Keep > 0 {
		chunks.Retention = jetstream.LimitsPolicy
	}
	index := jetstream.StreamConfig{Name: indexStream + id, Subjects: []string{indexPrefix + id + ".>"}, Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Replicas: replicas, Duplicates: duplicateWindow,
		Description: "polarcast: what of backup " + id + " was published and what the targets hold"}
	return []jetstream.StreamConfig{chunks, index}
}

// ensure makes a stream. Of one that is there only the byte limit is changed: how it is kept and replicated is for its first creator to say.
func (c *Client) ensure(ctx context.Context, cfg jetstream.StreamConfig) error {
	err := c.tryMaking(ctx, setup, func(ctx context.Context) error {
		s, err := c.openOrCreate(ctx, cfg)
		if err != nil {
			return err
		}
		has := s.CachedInfo().Config
		if cfg.MaxBytes > 0 && has.MaxBytes != cfg.MaxBytes {
			has.MaxBytes = cfg.MaxBytes
			_, err = c.js.UpdateStream(ctx, has)
		}
		return err
	})
	if err != nil {
		return c.streamError(cfg.Name, err)
	}
	return nil
}

// openOrCreate opens a stream, and makes it when it is not there.
func (c *Client) openOrCreate(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := c.js.Stream(ctx, cfg.Name)
	if !isGone(err) {
		return s, err
	}
	if _, err = c.js.CreateStream(ctx, cfg); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, err
	}
	// Where another process was faster, a cluster may answer before it is done.
	if s, err = c.js.Stream(ctx, cfg.Name); isGone(err) {
		err = errUnsettled
	}
	return s, err
}

// StreamInfo is what a chunk stream holds.
type StreamInfo struct {
	Messages, FirstSeq, LastSeq uint64
	Bytes, MaxBytes             int64
}

// ChunkStream returns what the chunk stream of a backup holds.
func (c *Client) ChunkStream(ctx context.Context, id string) (StreamInfo, error) {
	i, err := c.info(ctx, chunkStream+id)
	if err != nil {
		return StreamInfo{}, c.streamError(chunkStream+id, err)
	}
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
	var i *jetstream.ConsumerInfo
	err := c.tryFor(ctx, outage, func(ctx context.Context) error {
		cons, err := c.js.Consumer(ctx, stream, consumer)
		if err == nil {
			i = cons.CachedInfo()
		}
		return err
	})
	if isGone(err) {
		return Lag{}, c.streamError(stream, err)
	}
	if err != nil {
		return Lag{}, c.apiError("the consumer of "+what, err)
	}
	return Lag{Pending: i.NumPending, AckPending: i.NumAckPending, AckFloor: i.AckFloor.Stream}, nil
}
