package pipeline

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrClosed ends what still waits when the client is closed.
var ErrClosed = errors.New("the connection to NATS was closed")

// guards ends what waits for an answer that cannot come. NATS tells of a refused subject beside the request that it belongs to, which only
// times out.
type guards struct {
	mu      sync.Mutex
	closed  bool
	refused map[string]error // by subject
	waiting map[*guard]struct{}
}

type guard struct {
	cancel context.CancelCauseFunc
	prefix string // of the subjects that it waits for, "" for requests
	once   bool   // one request: its answer is lost with the connection
}

func (g *guard) covers(subject string) bool {
	if g.prefix != "" {
		return strings.HasPrefix(subject, g.prefix)
	}
	return strings.HasPrefix(subject, "$") || strings.HasPrefix(subject, "_INBOX")
}

var refusedSubject = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "([^"]*)"`)

// refuse notes what the server said.
func (c *Client) refuse(err error) {
	m := refusedSubject.FindStringSubmatch(err.Error())
	if m == nil || strings.HasPrefix(m[2], progressRoot) {
		return // reports are a comfort, nothing depends on them
	}
	verb := "publish"
	if strings.EqualFold(m[1], "subscription") {
		verb = "subscribe"
	}
	d := fmt.Errorf("%w: NATS at %s does not allow this account to %s to %s: give it permission for polarcast.>, $JS.API.>, $JS.ACK.>, $KV.%s.> and _INBOX.>",
		ErrDenied, c.where, verb, m[2], leaseBucket)
	c.guards.mu.Lock()
	defer c.guards.mu.Unlock()
	if len(c.guards.refused) < 256 {
		c.guards.refused[m[2]] = d
	}
	for g := range c.guards.waiting {
		if g.covers(m[2]) {
			g.cancel(d)
		}
	}
}

// guard returns a context that ends when the server refuses a subject below prefix, or when the client is closed. With an empty prefix it
// is for requests.
func (c *Client) guard(ctx context.Context, prefix string) (context.Context, context.CancelFunc) {
	return c.watchOver(ctx, &guard{prefix: prefix})
}

// request is guard for one request, which must be answered in time. It ends when the connection is lost: the answer would go nowhere.
func (c *Client) request(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, release := c.watchOver(ctx, &guard{once: true})
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	return ctx, func() { cancel(); release() }
}

// makeWait is how long the making of a stream or consumer may take until it is asked for again: where several processes make the same one at the same time, a
// cluster (nats-server 2.15) leaves some of them without an answer.
const makeWait = 3 * time.Second

// tryMaking is tryFor of a request that makes a stream or consumer, or finds it made.
func (c *Client) tryMaking(ctx context.Context, patience time.Duration, fn func(ctx context.Context) error) error {
	return c.tryFor(ctx, patience, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, makeWait)
		defer cancel()
		return fn(ctx)
	})
}

// setup is how long what is not under way yet waits for JetStream: for a cluster whose server is restarting right now, and no longer than a person would.
const setup = 3 * apiWait

// try makes a request that may be made twice, again when its answer was lost.
func (c *Client) try(ctx context.Context, fn func(ctx context.Context) error) error {
	return c.tryFor(ctx, setup, fn)
}

// outage is how long a backup that is under way waits for JetStream to answer again: a cluster that lost a server elects new leaders for
// each of its streams, one after the other.
const outage = 2 * time.Minute

// tryFor is try with a patience of its own.
func (c *Client) tryFor(ctx context.Context, patience time.Duration, fn func(ctx context.Context) error) error {
	told := false
	for start := time.Now(); ; {
		rctx, cancel := c.request(ctx)
		err := cause(rctx, fn(rctx))
		cancel()
		if err == nil || ctx.Err() != nil || isFull(err) || !isPassing(err) || time.Since(start) > patience {
			return err
		}
		if !told && time.Since(start) > quiet {
			c.log.Warn("JetStream does not answer, asking again", "server", c.where, "error", err)
			told = true
		}
		if e := sleep(ctx, 100*time.Millisecond); e != nil {
			return e
		}
	}
}

// quiet is how long JetStream may give no answer before a person is told: a change of leaders takes seconds.
const quiet = 5 * time.Second

func (c *Client) watchOver(ctx context.Context, g *guard) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	g.cancel = cancel
	c.guards.mu.Lock()
	defer c.guards.mu.Unlock()
	if c.guards.closed {
		cancel(ErrClosed)
	}
	if g.prefix != "" {
		for s, err := range c.guards.refused {
			if g.covers(s) {
				cancel(err)
			}
		}
	}
	c.guards.waiting[g] = struct{}{}
	return ctx, func() {
		c.guards.mu.Lock()
		delete(c.guards.waiting, g)
		c.guards.mu.Unlock()
		cancel(nil)
	}
}

// disconnected ends the requests that are under way.
func (c *Client) disconnected() {
	c.guards.mu.Lock()
	defer c.guards.mu.Unlock()
	for g := range c.guards.waiting {
		if g.once {
			g.cancel(nats.ErrDisconnected)
		}
	}
}

func (c *Client) closeGuards() {
	c.guards.mu.Lock()
	defer c.guards.mu.Unlock()
	c.guards.closed = true
	for g := range c.guards.waiting {
		g.cancel(ErrClosed)
	}
}

// cause is the error of a request: why its context ended says more than that it did.
func cause(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if why := context.Cause(ctx); ctx.Err() != nil && why != nil && !errors.Is(err, why) {
		return why
	}
	return err
}
