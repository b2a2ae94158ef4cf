package main_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// walProxy passes connections to a server, and can cut those that stream WAL and leave the others alone.
type walProxy struct {
	t       testing.TB
	l       net.Listener
	server  string
	refuse  atomic.Bool // new streams of WAL are cut at once
	streams atomic.Int64

	wg  sync.WaitGroup
	mu  sync.Mutex
	all map[net.Conn]bool
	wal []net.Conn
}

func startWALProxy(t testing.TB, server string) *walProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &walProxy{t: t, l: l, server: server, all: map[net.Conn]bool{}}
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Add(1)
			go p.serve(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for c := range p.all {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *walProxy) port() string {
	_, port, _ := net.SplitHostPort(p.l.Addr().String())
	return port
}

func (p *walProxy) serve(client net.Conn) {
	defer p.wg.Done()
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.all[client], p.all[server] = true, true
	p.mu.Unlock()
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		_, _ = io.Copy(client, server)
		client.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if bytes.Contains(buf[:n], []byte("START_REPLICATION")) {
			if p.refuse.Load() {
				return
			}
			p.mu.Lock()
			p.wal = append(p.wal, client, server)
			p.mu.Unlock()
			p.streams.Add(1)
		}
		if n > 0 {
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when so many streams of WAL have been begun.
func (p *walProxy) wait(begun int64) {
	p.t.Helper()
	for end := time.Now().Add(generous); p.streams.Load() < begun; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatal("no WAL is streamed")
		}
	}
}

// cut ends the connections that stream WAL.
func (p *walProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.wal {
		c.Close()
	}
	p.wal = nil
}
