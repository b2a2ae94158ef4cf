package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream's error codes (nats-server, server/errors.json) that decide what happens next.
const (
	codeNoPeers       jetstream.ErrorCode = 10005 // too few servers of the cluster can take a replica; the text says why
	codeInProcess     jetstream.ErrorCode = 10158 // a cluster has the message, and has not stored it yet
	codeInsufficient  jetstream.ErrorCode = 10023 // no server has the resources
	codeStorageFull   jetstream.ErrorCode = 10047 // the server's store has reached its limit
	codeAccountFull   jetstream.ErrorCode = 10002 // the account's share of the store has reached its limit
	codeNoCluster     jetstream.ErrorCode = 10074 // replicas on a server that is in no cluster
	codeStreamOffline jetstream.ErrorCode = 10118
	codeWrongSequence jetstream.ErrorCode = 10071
	codeWrongSeqR     jetstream.ErrorCode = 10164 // the same of a replicated stream
	codeStoreFailed   jetstream.ErrorCode = 10077 // discard new: the stream has reached its limit
	codeQueueFull     jetstream.ErrorCode = 10167 // more than 128 MiB queued on one stream
)

// ErrNoStream says that the streams of a backup are not there: it is complete, or was removed.
var ErrNoStream = errors.New("the streams of the backup are gone")

// ErrDenied says that the account lacks a permission.
var ErrDenied = errors.New("permission denied")

func apiCode(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

// errUnsettled says that the servers of a cluster do not know the same yet.
var errUnsettled = errors.New("the servers of the cluster do not agree yet whether it exists")

// isFull recognises the answers of a stream, a server or an account that has reached its limits, or of a queue that has. They pass when a
// target acknowledges.
func isFull(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case codeStoreFailed, codeQueueFull, codeStorageFull, codeAccountFull, codeInsufficient:
			return true
		}
		return api.Code == 429
	}
	return errors.Is(err, jetstream.ErrTooManyStalledMsgs)
}

// isConflict recognises the answer to the loser of two writers.
func isConflict(err error) bool {
	c := apiCode(err)
	return errors.Is(err, jetstream.ErrKeyExists) || c == codeWrongSequence || c == codeWrongSeqR
}

// isPassing recognises errors that go away by themselves: a connection that is being made again, a change of leaders, a server that restarts.
func isPassing(err error) bool {
	if errors.Is(err, errUnsettled) {
		return true
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case codeNoPeers:
			return strings.Contains(api.Description, "peer offline") // a server that is being started
		case codeInProcess:
			return true // asked again, it says that it is a duplicate, or takes the message
		}
		return api.ErrorCode != codeNoCluster && (api.Code == 503 || api.Code == 500 || api.ErrorCode == codeStreamOffline)
	}
	var broken net.Error // a write that met the end of the connection before the library did
	if errors.As(err, &broken) {
		return true
	}
	for _, e := range []error{io.EOF, io.ErrClosedPipe, net.ErrClosed, nats.ErrDisconnected, nats.ErrTimeout, nats.ErrReconnectBufExceeded, nats.ErrConnectionReconnecting, nats.ErrNoResponders,
		jetstream.ErrAsyncPublishTimeout, jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat, jetstream.ErrServerShutdown,
		jetstream.ErrConsumerLeadershipChanged, jetstream.ErrInvalidJSAck, context.DeadlineExceeded, nats.ErrStaleConnection} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isGone recognises that a stream is not there.
func isGone(err error) bool { return errors.Is(err, jetstream.ErrStreamNotFound) }

// streamError says what to do about an error of a stream.
func (c *Client) streamError(name string, err error) error {
	switch code := apiCode(err); {
	case errors.Is(err, ErrDenied):
		return err
	case isGone(err):
		return fmt.Errorf("NATS at %s has no stream %s: %w: the backup is complete or was removed, or this is another server or account (%w)", c.where, name,
			ErrNoStream, err)
	case code == codeStorageFull || code == codeInsufficient || code == codeAccountFull || code == codeNoPeers:
		return fmt.Errorf("JetStream at %s has no room for stream %s: raise the storage limit of the server or the account, or check that the cluster has as many servers as --replicas asks for: %w",
			c.where, name, err)
	case code == codeNoCluster:
		return fmt.Errorf("NATS at %s is a single server, so stream %s cannot have several replicas: leave out --replicas, or use a cluster: %w", c.where, name, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("NATS at %s has no JetStream for this account: start it with jetstream enabled (nats-server -js), or use another account: %w", c.where, err)
	}
	return c.apiError("stream "+name, err)
}

// apiError says what to do about an error of something that a stream has.
func (c *Client) apiError(what string, err error) error {
	switch {
	case errors.Is(err, ErrDenied):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting):
		return fmt.Errorf("JetStream at %s does not answer for %s: check that the server runs and its cluster has a leader, and that the account may use $JS.API.>: %w",
			c.where, what, err)
	}
	return fmt.Errorf("%s at %s: %w", what, c.where, err)
}
