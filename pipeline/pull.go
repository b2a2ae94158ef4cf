package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 2 * time.Second
	// pullSilence without messages or heartbeats means that the server has forgotten our requests.
	pullSilence = 3 * pullHeartbeat
	// pullMin is the smallest request, in bytes: a request that the next message does not fit into is sent back.
	pullMin = 1<<20 + 64<<10
)

// puller asks JetStream for as many bytes as there is room for, in pull requests of its own: the library's iterator would prefetch into a
// buffer where messages age unseen, and its FetchBytes makes channels of a million entries each time.
//
// room = limit - held - asked. asked goes down with every message and with what is left of a request that ends, which its status tells.
type puller struct {
	c       *Client
	subject string // where requests go
	inbox   string
	sub     *nats.Subscription
	arrived func(*nats.Msg)
	again   func() // there is a connection again
	failed  func(error)
	status  chan nats.Status
	done    chan struct{}

	mu        sync.Mutex
	limit     int64
	maxCount  int
	held      int64
	heldCount int
	asked     int64
	askedN    int
	n         uint64
	seen      time.Time
	closed    bool
}

// pullRequest is the body of a pull request (nats-server, server/consumer.go, JSApiConsumerGetNextRequest). Times are nanoseconds.
type pullRequest struct {
	Expires   time.Duration `json:"expires"`
	Batch     int           `json:"batch"`
	MaxBytes  int64         `json:"max_bytes"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

func newPuller(c *Client, stream, consumer string, o ConsumerOptions, arrived func(*nats.Msg), again func(), failed func(error)) (*puller, error) {
	if o.MaxBytesInFlight <= 0 {
		o.MaxBytesInFlight = 16 << 20
	}
	if o.MaxMessages <= 0 {
		o.MaxMessages = 4096
	}
	p := &puller{c: c, subject: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer, inbox: c.nc.NewInbox(), arrived: arrived, again: again, failed: failed,
		limit: max(o.MaxBytesInFlight, 4<<20), maxCount: o.MaxMessages, done: make(chan struct{}), seen: time.Now()}
	sub, err := c.nc.Subscribe(p.inbox+".*", p.message)
	if err != nil {
		return nil, err
	}
	// What was asked for is bounded already; the library must not drop any of it.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	p.sub = sub
	p.status = c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	return p, nil
}

// start asks for the first messages.
func (p *puller) start() {
	go p.watch()
	p.mu.Lock()
	p.ask()
	p.mu.Unlock()
}

// ask sends a request when there is enough room. The lock is held.
func (p *puller) ask() {
	room, count := p.limit-p.held-p.asked, p.maxCount-p.heldCount-p.askedN
	if p.closed || room < max(pullMin, p.limit/4) || count < max(1, p.maxCount/4) {
		return
	}
	p.n++
	body, err := json.Marshal(pullRequest{Expires: pullExpires, Batch: count, MaxBytes: room, Heartbeat: pullHeartbeat})
	if err != nil {
		return
	}
	if err := p.c.nc.PublishRequest(p.subject, p.inbox+"."+strconv.FormatUint(p.n, 10), body); err != nil {
		return // asked again when there is a connection
	}
	p.asked, p.askedN = p.asked+room, p.askedN+count
}

// release says that a held message was given up.
func (p *puller) release(size int) {
	p.mu.Lock()
	p.held -= int64(size)
	p.heldCount--
	p.ask()
	p.mu.Unlock()
}

// message takes whatever comes to the inbox, one after the other.
func (p *puller) message(m *nats.Msg) {
	p.mu.Lock()
	p.seen = time.Now()
	if !strings.HasPrefix(m.Subject, p.inbox) {
		p.asked, p.askedN = max(p.asked-int64(m.Size()), 0), max(p.askedN-1, 0)
		if p.askedN == 0 {
			p.asked = 0 // a request whose number of messages is used up ends without a word
		}
		p.held += int64(m.Size())
		p.heldCount++
		p.ask()
		p.mu.Unlock()
		p.arrived(m)
		return
	}
	code, text := m.Header.Get("Status"), strings.ToLower(m.Header.Get("Description"))
	if code != "100" { // else a heartbeat
		bytes, _ := strconv.ParseInt(m.Header.Get("Nats-Pending-Bytes"), 10, 64)
		count, _ := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		p.asked, p.askedN = max(p.asked-bytes, 0), max(p.askedN-count, 0)
		if bytes == 0 && count == 0 {
			p.asked, p.askedN = 0, 0 // no leader, a server that shuts down: all requests are void
		}
	}
	p.mu.Unlock()
	switch {
	case code == "100", code == "408", code == "404", code == "409" && strings.Contains(text, "maxbytes"), code == "409" && strings.Contains(text, "batch completed"):
	case strings.Contains(text, "consumer deleted"):
		p.failed(jetstream.ErrConsumerDeleted)
		return
	case code == "503", strings.Contains(text, "leadership change"), strings.Contains(text, "shutdown"), strings.Contains(text, "is push based"):
		// 503: nobody answers; watch finds out whether the consumer is gone.
		return
	case code == "400", code == "409":
		p.failed(fmt.Errorf("JetStream refuses to deliver: %s %s", code, m.Header.Get("Description")))
		return
	}
	p.mu.Lock()
	p.ask()
	p.mu.Unlock()
}

// watch asks anew after a reconnect and after silence.
func (p *puller) watch() {
	t := time.NewTicker(pullHeartbeat / 4)
	defer t.Stop()
	defer p.c.nc.RemoveStatusListener(p.status)
	for {
		select {
		case <-p.done:
			return
		case s, ok := <-p.status:
			if !ok || s == nats.CLOSED {
				return
			}
			p.mu.Lock()
			p.asked, p.askedN = 0, 0
			p.mu.Unlock()
			go p.again()
		case <-t.C:
		}
		p.mu.Lock()
		silent := time.Since(p.seen) > pullSilence && p.asked > 0
		void := p.asked == 0 && time.Since(p.seen) > pullHeartbeat && p.limit-p.held >= max(pullMin, p.limit/4)
		if silent {
			p.asked, p.askedN = 0, 0
		}
		p.mu.Unlock()
		if silent || void {
			p.probe()
		}
		p.mu.Lock()
		p.ask()
		p.mu.Unlock()
	}
}

// probe finds out whether the consumer is there at all.
func (p *puller) probe() {
	if p.c.nc.Status() != nats.CONNECTED {
		return
	}
	p.mu.Lock()
	p.seen = time.Now()
	p.mu.Unlock()
	token := strings.Split(strings.TrimPrefix(p.subject, "$JS.API.CONSUMER.MSG.NEXT."), ".")
	ctx, cancel := p.c.request(p.c.ctx)
	defer cancel()
	_, err := p.c.js.Consumer(ctx, token[0], token[1])
	if errors.Is(err, jetstream.ErrConsumerNotFound) || isGone(err) {
		p.failed(err)
	}
}

// close stops asking, and returns when everything that the server has sent was taken.
func (p *puller) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.mu.Unlock()
	close(p.done)
	gone := make(chan struct{})
	p.sub.SetClosedHandler(func(string) { close(gone) })
	if p.sub.Drain() != nil {
		return
	}
	select {
	case <-gone:
	case <-time.After(3 * time.Second):
	}
}
