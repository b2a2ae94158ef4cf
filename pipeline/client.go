package pipeline

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
)

// ClientOptions says how to reach JetStream.
type ClientOptions struct {
	// Server is an embedded server of this process; the connection does not leave the process.
	Server *Server
	// URLs of a server or a cluster, used when Server is nil.
	URLs []string
	// Creds is a credentials file, NKey a seed file.
	Creds, NKey           string
	User, Password, Token string
	// CA, Cert and Key are files of TLS.
	CA, Cert, Key string
	// Name is shown by the server's monitoring.
	Name string
	// Replicas of streams, 0 means 1. Odd, at most 5, and no more than the cluster has servers.
	Replicas int
	Logger   *slog.Logger
}

// Client is one connection to JetStream.
type Client struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	replicas int
	log      *slog.Logger

	mu   sync.Mutex
	logs map[string]*Log
}

// publishAckWait is how long a confirmation may take before the message is sent again. A follower that becomes leader takes seconds.
const publishAckWait = 20 * time.Second

// Connect connects to a server and checks that it can carry a backup.
func Connect(ctx context.Context, o ClientOptions) (*Client, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	where := strings.Join(o.URLs, ",")
	opts, err := o.natsOptions()
	if err != nil {
		return nil, err
	}
	if o.Server != nil {
		where = "the embedded server"
	} else if where == "" {
		where = nats.DefaultURL
	}
	url := where
	if o.Server != nil {
		url = ""
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, connectError(where, err)
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1<<16), jetstream.WithPublishAsyncTimeout(publishAckWait),
		jetstream.WithDefaultTimeout(15*time.Second))
	if err != nil {
		nc.Close()
		return nil, err
	}
	c := &Client{nc: nc, js: js, replicas: max(o.Replicas, 1), log: o.Logger, logs: map[string]*Log{}}
	if err := c.check(ctx, where); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (o ClientOptions) natsOptions() ([]nats.Option, error) {
	opts := []nats.Option{nats.Name(o.Name), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.Timeout(10 * time.Second),
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(3),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				o.Logger.Warn("connection to NATS lost, connecting again", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				o.Logger.Error("NATS refuses a subject: give the account permission for polarcast.> and $JS.API.>", "error", err)
			}
		})}
	if o.Server != nil {
		// What the embedded server asks of others it asks of us too.
		so := o.Server.s
		opts = append(opts, nats.InProcessServer(so), nats.ReconnectBufSize(-1))
	}
	switch {
	case o.Creds != "":
		opts = append(opts, nats.UserCredentials(o.Creds))
	case o.NKey != "":
		k, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("could not read the nkey seed \"%s\": %w", o.NKey, err)
		}
		opts = append(opts, k)
	case o.Token != "":
		opts = append(opts, nats.Token(o.Token))
	case o.User != "":
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	if o.CA != "" {
		opts = append(opts, nats.RootCAs(o.CA))
	}
	if o.Cert != "" {
		opts = append(opts, nats.ClientCert(o.Cert, o.Key))
	}
	if o.Server == nil && (o.CA != "" || o.Cert != "") {
		opts = append(opts, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12}))
		// Secure replaces the configuration, so the files go in again behind it.
		if o.CA != "" {
			opts = append(opts, nats.RootCAs(o.CA))
		}
		if o.Cert != "" {
			opts = append(opts, nats.ClientCert(o.Cert, o.Key))
		}
	}
	return opts, nil
}

func connectError(where string, err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("NATS at %s refuses these credentials: check --creds, the user, or the token: %w", where, err)
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("no NATS server answers at %s: check --nats, and that the server runs: %w", where, err)
	}
	return fmt.Errorf("could not connect to NATS at %s: %w", where, err)
}

// minPayload is what the largest chunk message needs.
const minPayload = 2*messages.ChunkSize + 64<<10

// check refuses a server that cannot carry a backup.
func (c *Client) check(ctx context.Context, where string) error {
	if p := c.nc.MaxPayload(); p < minPayload {
		return fmt.Errorf("NATS at %s takes messages of at most %d bytes, but chunks need %d: raise max_payload in the server's configuration", where, p, minPayload)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := c.js.AccountInfo(ctx); err != nil {
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders) {
			return fmt.Errorf("NATS at %s has no JetStream for this account: start it with jetstream enabled (nats-server -js), or use another account: %w", where, err)
		}
		return fmt.Errorf("JetStream of NATS at %s does not answer: %w", where, err)
	}
	return nil
}

// Close ends the connection. What was not confirmed is lost to the caller, as if the process had been killed.
func (c *Client) Close() {
	c.mu.Lock()
	for _, l := range c.logs {
		l.close()
	}
	c.logs = map[string]*Log{}
	c.mu.Unlock()
	c.nc.Close()
}
