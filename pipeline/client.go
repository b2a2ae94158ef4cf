package pipeline

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
	// Beside, with Server, is how many bytes of file data may wait in this process's memory: their messages hold references. For backups of one
	// target that is written by this process and through this client. 0 puts the data into the stream.
	Beside int64
	Logger *slog.Logger
}

// Client is one connection to JetStream. Any number of goroutines may use it.
type Client struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	where    string // the server, for messages
	server   *Server
	beside   *beside // nil when payloads travel through the server
	replicas int
	log      *slog.Logger
	guards   guards
	ctx      context.Context // ends with Close
	stop     context.CancelCauseFunc

	observer atomic.Pointer[func(Progress)]

	mu   sync.Mutex
	logs map[string]*Log
}

const (
	// publishAckWait is how long a confirmation may take before the message is sent again. A follower that becomes leader takes seconds.
	publishAckWait = 10 * time.Second
	// duplicateWindow is how long JetStream remembers ids: longer than publishAckWait, and short because it costs memory for each message.
	duplicateWindow = 30 * time.Second
	// apiWait is how long a request may take.
	apiWait = 15 * time.Second
)

// Connect connects to a server and checks that it can carry a backup.
func Connect(ctx context.Context, o ClientOptions) (*Client, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	url := strings.Join(o.URLs, ",")
	if url == "" {
		url = nats.DefaultURL
	}
	c := &Client{where: redact(url), server: o.Server, replicas: max(o.Replicas, 1), log: o.Logger, logs: map[string]*Log{}}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	c.guards.waiting, c.guards.refused = map[*guard]struct{}{}, map[string]error{}
	if o.Server != nil {
		c.where, url = "the embedded server", ""
		if o.Beside > 0 {
			c.beside = newBeside(o.Beside)
		}
	}
	opts, err := o.natsOptions(c)
	if err != nil {
		return nil, err
	}
	if c.nc, err = nats.Connect(url, opts...); err != nil {
		return nil, connectError(c.where, err)
	}
	// The publishers bound what is pending, in bytes.
	c.js, err = jetstream.New(c.nc, jetstream.WithPublishAsyncMaxPending(1<<20), jetstream.WithPublishAsyncTimeout(publishAckWait),
		jetstream.WithDefaultTimeout(apiWait))
	if err == nil {
		err = c.check(ctx)
	}
	if err != nil {
		c.nc.Close()
		return nil, err
	}
	return c, nil
}

// redact takes passwords out of URLs that are shown.
func redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, s := range list {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil && u.User != nil {
			list[i] = u.Redacted()
		}
	}
	return strings.Join(list, ",")
}

func (o ClientOptions) natsOptions(c *Client) ([]nats.Option, error) {
	// What is published while there is no connection is published again anyway: nothing is kept for later.
	opts := []nats.Option{nats.Name(o.Name), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.Timeout(10 * time.Second),
		nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(), nats.PermissionErrOnSubscribe(true),
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(3),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			c.disconnected()
			if err != nil {
				o.Logger.Warn("connection to NATS lost, connecting again", "server", c.where, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { o.Logger.Info("connected to NATS again", "server", c.where) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				c.refuse(err)
			}
			o.Logger.Debug("NATS", "server", c.where, "error", err)
		})}
	if o.Server != nil {
		opts = append(opts, nats.InProcessServer(o.Server.s))
		if o.User == "" {
			o.User, o.Password = o.Server.user, o.Server.password // what the server asks of others it asks of us too
		}
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
		return fmt.Errorf("NATS at %s refuses these credentials: check the credentials file, the user and password, or the token: %w", where, err)
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("no NATS server answers at %s: check the URL, and that the server runs: %w", where, err)
	}
	return fmt.Errorf("could not connect to NATS at %s: %w", where, err)
}

// minPayload is what the largest chunk message needs, in bytes.
const minPayload = bufferSize + headerRoom

// check refuses a server that cannot carry a backup.
func (c *Client) check(ctx context.Context) error {
	if p := c.nc.MaxPayload(); p < minPayload {
		return fmt.Errorf("NATS at %s takes messages of at most %d bytes, but chunks need %d: raise max_payload in the server's configuration (its default is 1048576)",
			c.where, p, minPayload)
	}
	// Asked again while a cluster has no leader. A server without JetStream says so at once, and nothing comes of asking it again.
	var without error
	err := c.try(ctx, func(ctx context.Context) error {
		_, err := c.js.AccountInfo(ctx)
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders) {
			without, err = err, nil
		}
		return err
	})
	switch {
	case without != nil:
		return fmt.Errorf("NATS at %s has no JetStream for this account: start it with jetstream enabled (nats-server -js), or use another account: %w", c.where, without)
	case err == nil:
		return nil
	case errors.Is(err, ErrDenied), ctx.Err() != nil:
		return err
	}
	return fmt.Errorf("JetStream of NATS at %s does not answer: check that the server is well and its cluster has a leader: %w", c.where, err)
}

// Close ends the connection. What was not confirmed is lost to the caller, as if the process had been killed.
func (c *Client) Close() {
	c.mu.Lock()
	for _, l := range c.logs {
		l.close(ErrClosed)
	}
	c.logs = map[string]*Log{}
	c.mu.Unlock()
	c.closeGuards()
	c.stop(ErrClosed)
	c.nc.Close()
}
