package testenv

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy passes connections to a server and disturbs them. It speaks no protocol. "Down" is from the server to the client, "up" the other way.
type Proxy struct {
	Port    int    // of 127.0.0.1 and of the socket in Sockets
	Sockets string // directory of a Unix socket with PostgreSQL's name for Port

	t               testing.TB
	network, target string
	listeners       []net.Listener
	wg              sync.WaitGroup

	mu      sync.Mutex
	links   map[*link]bool
	closed  bool
	gate    chan struct{} // closed: traffic flows
	refuse  bool
	cutDown int64 // cut all connections when so many bytes more went down; 0: never

	delay    atomic.Int64 // nanoseconds before each piece
	rate     atomic.Int64 // bytes per second in each direction of each connection
	up, down atomic.Int64
	accepted atomic.Int64
}

// StartProxy listens on a free TCP port of 127.0.0.1 and on a Unix socket, and connects to a server at a network ("tcp", "unix") and address.
func StartProxy(t testing.TB, network, target string) *Proxy {
	t.Helper()
	p := &Proxy{Sockets: Dir(t), t: t, network: network, target: target, links: map[*link]bool{}, gate: make(chan struct{})}
	close(p.gate)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Port = l.Addr().(*net.TCPAddr).Port
	u, err := net.Listen("unix", filepath.Join(p.Sockets, ".s.PGSQL."+strconv.Itoa(p.Port)))
	if err != nil {
		l.Close()
		t.Fatal(err)
	}
	p.listeners = []net.Listener{l, u}
	for _, l := range p.listeners {
		p.wg.Go(func() { p.serve(l) })
	}
	t.Cleanup(p.Close)
	return p
}

// Proxy is StartProxy before this server's TCP port.
func (s *Server) Proxy() *Proxy {
	s.t.Helper()
	return StartProxy(s.t, "tcp", net.JoinHostPort(s.Host(), s.PortString()))
}

// Addr is host:port.
func (p *Proxy) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

// Close ends everything.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, l := range p.listeners {
		l.Close()
	}
	p.Resume()
	p.Cut()
	p.wg.Wait()
}

// Cut resets all connections; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// CutAfter resets all connections when n more bytes have gone down, once. The n-th byte is still delivered.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutDown = n
}

// Refuse resets new connections at once while it is on; those that exist live on.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Pause stops all traffic without closing anything, as a network that drops every packet does, until Resume.
func (p *Proxy) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

// Resume ends Pause.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// HalfClose ends the direction to the client of all connections (the client sees an end of file, and can still send).
func (p *Proxy) HalfClose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if c, ok := l.client.(interface{ CloseWrite() error }); ok {
			c.CloseWrite()
		}
	}
}

// Delay makes each piece of data wait before it is passed on.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Throttle bounds each direction of each connection, in bytes per second; 0 removes the bound.
func (p *Proxy) Throttle(bytesPerSecond int64) { p.rate.Store(bytesPerSecond) }

// Bytes are what has been passed on so far.
func (p *Proxy) Bytes() (up, down int64) { return p.up.Load(), p.down.Load() }

// Accepted is the number of connections that clients have opened so far.
func (p *Proxy) Accepted() int64 { return p.accepted.Load() }

// Open is the number of connections that are open now.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// WaitDown waits until n bytes in all have gone to clients.
func (p *Proxy) WaitDown(ctx context.Context, n int64) error {
	for p.down.Load() < n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
