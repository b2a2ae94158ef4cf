package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errStop ends a read at its last message.
var errStop = errors.New("the last message was read")

// read calls fn for the messages of a stream, in order and without gaps, from a position on. Without follow it ends at the message that was
// the last one when it began. It goes on after lost connections and restarts of the server, at the message behind the last one that fn got.
func (c *Client) read(ctx context.Context, stream string, subjects []string, from uint64, follow bool, fn func(seq uint64, subject string, data []byte) error) error {
	ctx, release := c.guard(ctx, "")
	defer release()
	var last uint64
	if !follow {
		info, err := c.info(ctx, stream)
		if err != nil {
			return c.streamError(stream, err)
		}
		if last = info.State.LastSeq; last < max(from, 1) {
			return nil
		}
	}
	for {
		var ferr error
		err := c.readOnce(ctx, stream, subjects, from, last, func(seq uint64, subject string, data []byte) error {
			ferr = fn(seq, subject, data)
			from = seq + 1
			return ferr
		})
		switch {
		case errors.Is(err, errStop):
			return nil
		case ferr != nil:
			return ferr
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isGone(err), !isPassing(err) && !isReset(err):
			return c.streamError(stream, err)
		}
		c.log.Debug("reading again", "stream", stream, "from", from, "error", err)
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// isReset recognises the errors of a reader that has to be made anew.
func isReset(err error) bool {
	for _, e := range []error{jetstream.ErrMsgIteratorClosed, jetstream.ErrConsumerDeleted, jetstream.ErrConsumerNotFound, jetstream.ErrOrderedConsumerReset,
		jetstream.ErrOrderedConsumerNotCreated} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (c *Client) info(ctx context.Context, stream string) (info *jetstream.StreamInfo, err error) {
	err = c.tryFor(ctx, outage, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, stream)
		if err == nil {
			info = s.CachedInfo()
		}
		return err
	})
	return info, err
}

// readOnce reads until an error. last is where to end, 0 for never.
func (c *Client) readOnce(ctx context.Context, stream string, subjects []string, from, last uint64, fn func(seq uint64, subject string, data []byte) error) error {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: time.Minute, MaxResetAttempts: 3}
	if from > 1 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	cons, err := c.js.OrderedConsumer(rctx, stream, cfg)
	if err != nil {
		return cause(rctx, err)
	}
	if last > 0 {
		// Subjects may have nothing at all behind from.
		info, err := cons.Info(rctx)
		if err != nil {
			return cause(rctx, err)
		}
		if info.NumPending == 0 {
			return errStop
		}
	}
	it, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(256, 4<<20), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return err
	}
	cancel()
	defer it.Stop()
	defer context.AfterFunc(ctx, it.Stop)()
	for {
		m, err := it.Next()
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("message without a position: %w", err)
		}
		seq := meta.Sequence.Stream
		if last > 0 && seq > last {
			return errStop
		}
		if err := fn(seq, m.Subject(), m.Data()); err != nil {
			return err
		}
		if last > 0 && (meta.NumPending == 0 || seq >= last) {
			return errStop
		}
	}
}

// Index reads the index of a backup from a position on, in order and without gaps: parts and seals, and the receipts of the given targets.
// Without follow it ends at what was the last message when it began. It returns the error of fn, or that of ctx; ErrNoStream when the index is
// gone.
func (c *Client) Index(ctx context.Context, backup string, from uint64, follow bool, targets []string, fn func(seq uint64, subject Subject, data []byte) error) error {
	subjects := []Subject{SubjectParts}
	for _, t := range targets {
		subjects = append(subjects, SubjectReceipts(t))
	}
	return c.IndexOf(ctx, backup, from, follow, subjects, fn)
}

// IndexOf is Index for any subjects of the index.
func (c *Client) IndexOf(ctx context.Context, backup string, from uint64, follow bool, of []Subject, fn func(seq uint64, subject Subject, data []byte) error) error {
	prefix := indexPrefix + backup + "."
	subjects := make([]string, len(of))
	for i, s := range of {
		subjects[i] = prefix + string(s)
	}
	return c.read(ctx, indexStream+backup, subjects, from, follow, func(seq uint64, subject string, data []byte) error {
		return fn(seq, Subject(strings.TrimPrefix(subject, prefix)), data)
	})
}

// IndexLost reports whether JetStream lost something that it had confirmed for the index of a backup, behind a position: nothing is ever removed from it.
func (c *Client) IndexLost(ctx context.Context, backup string, behind uint64) (bool, error) {
	info, err := c.info(ctx, indexStream+backup)
	if err != nil {
		return false, c.streamError(indexStream+backup, err)
	}
	if info.State.Msgs == info.State.LastSeq {
		return false, nil
	}
	err = c.tryFor(ctx, outage, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, indexStream+backup)
		if err == nil {
			info, err = s.Info(ctx, jetstream.WithDeletedDetails(true))
		}
		return err
	})
	if err != nil {
		return false, c.streamError(indexStream+backup, err)
	}
	lost := info.State.FirstSeq > behind+1
	for _, seq := range info.State.Deleted {
		lost = lost || seq > behind
	}
	return lost, nil
}
