package testenv

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// echo answers every connection with what it reads.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestProxyCutsAfterTheByteThatItWasTold(t *testing.T) {
	p := StartProxy(t, "tcp", echo(t))
	p.CutAfter(70_000)
	c := dial(t, p)
	go c.Write(make([]byte, 200_000))
	got, err := io.ReadAll(c)
	if len(got) != 70_000 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes and error %v, want 70000 and a reset", len(got), err)
	}
	if _, down := p.Bytes(); down != 70_000 {
		t.Errorf("counted %d bytes", down)
	}
	// Once only.
	c = dial(t, p)
	roundTrip(t, c, []byte("again"))
}

func TestProxyPausesHalfClosesAndRefuses(t *testing.T) {
	p := StartProxy(t, "tcp", echo(t))
	p.Throttle(1 << 20)
	c := dial(t, p)
	roundTrip(t, c, []byte("before"))
	p.Pause()
	if _, err := c.Write([]byte("later")); err != nil {
		t.Fatal(err)
	}
	if up, _ := p.Bytes(); up != int64(len("before")) {
		t.Errorf("%d bytes went through a paused proxy", up)
	}
	p.Resume()
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "later" {
		t.Errorf("%q, %v after the pause", got, err)
	}
	p.HalfClose()
	if n, err := c.Read(got); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v from a half-closed connection, want an end of file", n, err)
	}
	p.Refuse(true)
	refused, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return // the reset came before Dial looked
	}
	defer refused.Close()
	if n, err := refused.Read(got); n != 0 || err == nil {
		t.Errorf("a refused connection gave %d bytes, %v", n, err)
	}
}

func roundTrip(t *testing.T, c net.Conn, data []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("sent %q, got %q, %v", data, got, err)
	}
}
