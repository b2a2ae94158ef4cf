package pipeline

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
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
	ctx, cancel := context.WithCancelCause(ctx)
	g := &guard{cancel: cancel, prefix: prefix}
	c.guards.mu.Lock()
	defer c.guards.mu.Unlock()
	if c.guards.closed {
		cancel(ErrClosed)
	}
	if prefix != "" {
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

// request is guard for a request that must be answered in time.
func (c *Client) request(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, release := c.guard(ctx, "")
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	return ctx, func() { cancel(); release() }
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
