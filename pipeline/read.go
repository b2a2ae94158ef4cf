package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errStop ends a read at its last message.
var errStop = errors.New("the last message was read")

// read calls fn for the messages of a stream, in order and without gaps, from a position on. Without follow it ends at the message that was
// the last one when it began, and next is the position behind that. It goes on after lost connections and restarts of the server, at the message
// behind the last one that fn got.
func (c *Client) read(ctx context.Context, stream string, subjects []string, from uint64, follow bool, fn func(seq uint64, subject string, data []byte) error) (next uint64, err error) {
	ctx, release := c.guard(ctx, "")
	defer release()
	var last uint64
	if !follow {
		info, err := c.info(ctx, stream)
		if err != nil {
			return from, c.streamError(stream, err)
		}
		if last = info.State.LastSeq; last < max(from, 1) {
			return from, nil
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
			more, err := c.more(ctx, stream, subjects, from, last)
			if err != nil {
				return from, c.streamError(stream, err)
			}
			if !more {
				return last + 1, nil
			}
		case ferr != nil:
			return from, ferr
		case ctx.Err() != nil:
			return from, context.Cause(ctx)
		case isGone(err), !isPassing(err) && !isReset(err):
			return from, c.streamError(stream, err)
		}
		c.log.Debug("reading again", "stream", stream, "from", from, "why", err)
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return from, err
		}
	}
}

// more asks the stream's leader whether it has something between two positions. The server that reads for us may be a follower that lags behind,
// because it was started a moment ago, and takes the end of what it has for the end of the stream.
func (c *Client) more(ctx context.Context, stream string, subjects []string, from, last uint64) (bool, error) {
	if from > last {
		return false, nil
	}
	for _, subject := range subjects {
		found := false
		err := c.tryFor(ctx, outage, func(ctx context.Context) error {
			seq, err := c.position(ctx, stream, map[string]any{"seq": from, "next_by_subj": subject})
			found = seq != 0 && seq <= last
			return err
		})
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// position asks the leader of a stream for a message, and returns where it is, 0 when there is none (nats-server, JSApiMsgGetRequest). The library
// asks for the stream's configuration before each look at a message; we ask often.
func (c *Client) position(ctx context.Context, stream string, query map[string]any) (uint64, error) {
	body, err := json.Marshal(query)
	if err != nil {
		return 0, err
	}
	m, err := c.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq uint64 `json:"seq"`
		} `json:"message"`
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &answer)
	}
	if err == nil && answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return 0, nil
		}
		err = answer.Error
	}
	return answer.Message.Seq, err
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
	defer c.forget(stream, cons)
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

// forget deletes the consumer of a read that has ended, without waiting for an answer. The server would do it after a minute, and allows 1000 consumers
// of a stream (JSDefaultMaxConsumersPerStream, nats-server): auditors, which read on whenever something has come, would reach that.
func (c *Client) forget(stream string, cons jetstream.Consumer) {
	if i := cons.CachedInfo(); i != nil {
		_ = c.nc.Publish("$JS.API.CONSUMER.DELETE."+stream+"."+i.Name, nil) // when it fails the minute passes
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

// IndexOn reads like [Client.Index] up to what is the last message of the index now, and returns the position from which to read on. Messages that are
// not for fn count, so that there is nothing to read when only they have come.
func (c *Client) IndexOn(ctx context.Context, backup string, from uint64, target string, fn func(seq uint64, subject Subject, data []byte) error) (next uint64, err error) {
	return c.indexOf(ctx, backup, from, false, []Subject{SubjectParts, SubjectReceipts(target)}, fn)
}

// IndexOf is Index for any subjects of the index.
func (c *Client) IndexOf(ctx context.Context, backup string, from uint64, follow bool, of []Subject, fn func(seq uint64, subject Subject, data []byte) error) error {
	_, err := c.indexOf(ctx, backup, from, follow, of, fn)
	return err
}

func (c *Client) indexOf(ctx context.Context, backup string, from uint64, follow bool, of []Subject, fn func(seq uint64, subject Subject, data []byte) error) (uint64, error) {
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
