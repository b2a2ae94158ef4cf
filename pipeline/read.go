package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// read calls fn for the messages of a stream, in order and without gaps, from a position on. Without follow it ends at the message that was
// the last one when it began.
func (c *Client) read(ctx context.Context, stream string, subjects []string, from uint64, follow bool, fn func(seq uint64, subject string, data []byte) error) error {
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return c.streamError(stream, err)
	}
	last := s.CachedInfo().State.LastSeq
	if !follow && last < max(from, 1) {
		return nil
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: time.Minute}
	if from > 1 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	cons, err := s.OrderedConsumer(ctx, cfg)
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", stream, err)
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(256), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", stream, err)
	}
	defer it.Stop()
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	if !follow {
		// Subjects may have nothing at the stream's last position: what is pending tells when all of theirs was read.
		info, err := cons.Info(ctx)
		if err != nil {
			return fmt.Errorf("reading stream %s: %w", stream, err)
		}
		if info.NumPending == 0 && info.Delivered.Consumer == 0 {
			return nil
		}
	}
	for {
		m, err := it.Next()
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, nats.ErrTimeout) {
				continue
			}
			return fmt.Errorf("reading stream %s: %w", stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading stream %s: %w", stream, err)
		}
		if err := fn(meta.Sequence.Stream, m.Subject(), m.Data()); err != nil {
			return err
		}
		if !follow && (meta.NumPending == 0 || meta.Sequence.Stream >= last) {
			return nil
		}
	}
}

// Index reads the index of a backup from a position on, in order and without gaps: parts and seals, and the receipts of the given targets.
// Without follow it ends at what was the last message when it began.
func (c *Client) Index(ctx context.Context, backup string, from uint64, follow bool, targets []string, fn func(seq uint64, subject Subject, data []byte) error) error {
	prefix := indexPrefix + backup + "."
	subjects := []string{prefix + string(SubjectParts)}
	for _, t := range targets {
		subjects = append(subjects, prefix+string(SubjectReceipts(t)))
	}
	return c.read(ctx, indexStream+backup, subjects, from, follow, func(seq uint64, subject string, data []byte) error {
		return fn(seq, Subject(strings.TrimPrefix(subject, prefix)), data)
	})
}
