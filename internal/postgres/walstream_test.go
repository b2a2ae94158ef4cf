package postgres

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"reflect"
	"testing"
	"time"
)

func wal(start, end uint64, data string) []any {
	return []any{"w", start, end, uint64(0), data}
}

func startStream(t *testing.T, s *script, step int) (*Conn, *WALStream) {
	t.Helper()
	c, _ := scriptConn("15.1", s.b, step)
	ws, err := c.StartReplication(context.Background(), `a"b`, 0x1000000, 3)
	if err != nil {
		t.Fatal(err)
	}
	return c, ws
}

func TestWALStream(t *testing.T) {
	for _, step := range []int{0, 1} {
		s := (&script{}).msg('W', []byte{0, 0, 0}).
			data(wal(0x1000000, 0x1000010, "hello")...).
			data("k", uint64(0x1000020), uint64(0), byte(1)).
			data(wal(0x1000005, 0x1000020, "world")...).
			copyDone().
			columns("next_tli", "next_tli_startpos").row("4", "0/100000A").complete("SELECT").complete("START_STREAMING").ready().
			columns("x").row("y").complete("SHOW").ready()
		c, ws := startStream(t, s, step)
		var data []byte
		pos := LSN(0x1000000)
		var keep int
		for {
			m, err := ws.Receive(time.Time{})
			var end *EndOfTimeline
			if errors.As(err, &end) {
				if *end != (EndOfTimeline{4, 0x100000A}) {
					t.Errorf("end is %+v", end)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.Keepalive {
				keep++
				if !m.ReplyRequested || m.End != 0x1000020 {
					t.Errorf("keepalive %+v", m)
				}
				continue
			}
			if m.Start != pos {
				t.Errorf("piece at %s, want %s", m.Start, pos)
			}
			data = append(data, m.Data...)
			pos += LSN(len(m.Data))
		}
		if string(data) != "helloworld" || keep != 1 {
			t.Errorf("got %q and %d keepalives", data, keep)
		}
		if err := ws.Stop(context.Background()); err != nil {
			t.Errorf("Stop after the end: %v", err)
		}
		if v, err := c.Show(context.Background(), "x"); err != nil || v != "y" {
			t.Errorf("connection after the end of the timeline: %q, %v", v, err)
		}
	}
}

// TestWALStreamNothingToStream is the answer to a start at the very end of a historic timeline: no copy at all.
func TestWALStreamNothingToStream(t *testing.T) {
	s := (&script{}).columns("next_tli", "next_tli_startpos").row("4", "0/1000000").complete("SELECT").complete("START_STREAMING").ready()
	_, ws := startStream(t, s, 0)
	_, err := ws.Receive(time.Time{})
	var end *EndOfTimeline
	if !errors.As(err, &end) || end.NextTLI != 4 {
		t.Errorf("got %v", err)
	}
	if _, again := ws.Receive(time.Time{}); again != err {
		t.Errorf("second time: %v", again)
	}
}

func TestWALStreamEnds(t *testing.T) {
	begin := func() *script { return (&script{}).msg('W', []byte{0, 0, 0}) }
	for _, c := range []struct {
		name string
		s    *script
		is   error
	}{
		{"shutdown", begin().complete("COPY 0"), ErrServerStopped},
		{"cut", begin().data(wal(1, 2, "x")...), errServerClosed},
		{"garbage", begin().data("?"), nil},
		{"short WAL message", begin().data("w", uint64(1)), nil},
		{"empty message", begin().data(), nil},
		{"error", begin().fail("ERROR", "58P01", "requested WAL segment has already been removed").ready(), nil},
		{"bad end", begin().copyDone().columns("a", "b").row("0", "0/0").complete("SELECT").ready(), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ws := startStream(t, c.s, 0)
			var err error
			for range 3 {
				if _, err = ws.Receive(time.Time{}); err != nil {
					break
				}
			}
			var end *EndOfTimeline
			if err == nil || errors.As(err, &end) || (c.is != nil && !errors.Is(err, c.is)) {
				t.Errorf("error is %v, want %v", err, c.is)
			}
			if c.name == "error" && !IsWALRemoved(err) {
				t.Errorf("SQLSTATE is lost: %v", err)
			}
		})
	}
}

// TestWALStreamDeadline lets deadlines pass at every byte of the stream: nothing may be lost.
func TestWALStreamDeadline(t *testing.T) {
	s := (&script{}).msg('W', []byte{0, 0, 0})
	s.data(wal(7, 9, "abc")...).notice("hm").data(wal(10, 12, "def")...).data("k", uint64(13), uint64(0), byte(0))
	client, server := net.Pipe()
	defer server.Close()
	c := &Conn{net: client, cfg: &Config{set: settings{}}, wire: &wire{r: client, buf: make([]byte, wireBufferSize), sawAuth: true},
		params: map[string]string{"server_version": "15.1"}}
	defer c.Close()
	step := make(chan bool)
	go func() {
		buf := make([]byte, 1000)
		server.Read(buf) // the command
		head := 4 + 5 - 1
		server.Write(s.b[:head])
		for _, b := range s.b[head:] {
			<-step
			server.Write([]byte{b})
		}
	}()
	ws, err := c.StartReplication(context.Background(), "", 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	var timeouts int
	for {
		m, err := ws.Receive(time.Now().Add(time.Millisecond))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			timeouts++
			select {
			case step <- true:
			default: // the byte before is still to be read
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Keepalive {
			break
		}
		if m.Start != LSN(7+len(got)) {
			t.Errorf("piece at %s after %d bytes", m.Start, len(got))
		}
		got = append(got, m.Data...)
	}
	if string(got) != "abcdef" || timeouts < 50 {
		t.Errorf("got %q after %d timeouts", got, timeouts)
	}
}

func TestSendStatus(t *testing.T) {
	s := (&script{}).msg('W', []byte{0, 0, 0})
	c, n := scriptConn("15.1", s.b, 0)
	ws, err := c.StartReplication(context.Background(), `a"b`, 0x16B374D848, 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte("Q\x00\x00\x00\x39START_REPLICATION SLOT \"a\"\"b\" 16/B374D848 TIMELINE 3\x00"); !bytes.Equal(n.sent.Bytes(), want) {
		t.Errorf("sent %q\nwant %q", n.sent.Bytes(), want)
	}
	n.sent.Reset()
	if err := ws.SendStatus(3, 2, 1, true); err != nil {
		t.Fatal(err)
	}
	b := n.sent.Bytes()
	want := []byte("d\x00\x00\x00\x26r\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01")
	if len(b) != 39 || !reflect.DeepEqual(b[:30], want) || b[38] != 1 {
		t.Errorf("sent %q", b)
	}
}
