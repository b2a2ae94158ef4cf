package testenv

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one client's connection and the one to the server.
type link struct {
	client, server net.Conn
}

// reset closes both sides at once; TCP peers get RST, not FIN.
func (l *link) reset() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
}

func (p *Proxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		p.wg.Go(func() { p.handle(client) })
	}
}

func (p *Proxy) handle(client net.Conn) {
	lk := &link{client: client}
	p.mu.Lock()
	refuse := p.refuse || p.closed
	p.mu.Unlock()
	var err error
	if !refuse {
		lk.server, err = net.Dial(p.network, p.target)
	}
	if refuse || err != nil {
		lk.server = client
		lk.reset()
		return
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		lk.reset()
		return
	}
	p.links[lk] = true
	p.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { p.pass(lk, client, lk.server, &p.up, false) })
	both.Go(func() { p.pass(lk, lk.server, client, &p.down, true) })
	both.Wait()
	client.Close()
	lk.server.Close()
	p.mu.Lock()
	delete(p.links, lk)
	p.mu.Unlock()
}

// pass copies one direction until it ends, and passes the end on.
func (p *Proxy) pass(lk *link, from, to net.Conn, count *atomic.Int64, down bool) {
	buf := make([]byte, 32<<10)
	for {
		size := len(buf)
		if rate := p.rate.Load(); rate > 0 {
			size = int(max(1, min(int64(size), rate/20))) // pieces of a twentieth of a second
		}
		n, err := from.Read(buf[:size])
		if n > 0 {
			p.hold(n)
			piece, cut := buf[:n], false
			if down {
				piece, cut = p.bounded(piece)
			}
			if _, werr := to.Write(piece); werr != nil {
				lk.reset()
				return
			}
			count.Add(int64(len(piece)))
			if cut {
				time.Sleep(5 * time.Millisecond) // RST would overtake what is still in the socket's buffer
				p.Cut()
				return
			}
		}
		if err != nil {
			if c, ok := to.(interface{ CloseWrite() error }); ok {
				c.CloseWrite()
			}
			return
		}
	}
}

// hold waits for what Pause, Delay and Throttle ask.
func (p *Proxy) hold(n int) {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	<-gate
	if d := time.Duration(p.delay.Load()); d > 0 {
		time.Sleep(d)
	}
	if rate := p.rate.Load(); rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

// bounded takes a piece off what CutAfter still lets through.
func (p *Proxy) bounded(piece []byte) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cutDown == 0 {
		return piece, false
	}
	if int64(len(piece)) < p.cutDown {
		p.cutDown -= int64(len(piece))
		return piece, false
	}
	piece = piece[:p.cutDown]
	p.cutDown = 0
	return piece, true
}
