package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fakeServer speaks the server's side of the start-up: it refuses TLS, reads the start-up message, sends answer, and then nothing more until the client goes.
// It returns its port and counts connections that came so far as to send a start-up message.
func fakeServer(t *testing.T, answer []byte, thenClose bool) (port string, started chan map[string]string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	started = make(chan map[string]string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					var head [8]byte
					if _, err := io.ReadFull(c, head[:]); err != nil {
						return
					}
					if binary.BigEndian.Uint32(head[4:]) == 80877103 { // SSLRequest
						c.Write([]byte("N"))
						continue
					}
					body := make([]byte, binary.BigEndian.Uint32(head[:])-8)
					if _, err := io.ReadFull(c, body); err != nil {
						return
					}
					params := map[string]string{}
					words := strings.Split(string(body), "\x00")
					for i := 0; i+1 < len(words) && words[i] != ""; i += 2 {
						params[words[i]] = words[i+1]
					}
					started <- params
					break
				}
				c.Write(answer)
				if !thenClose {
					io.Copy(io.Discard, c)
				}
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, started
}

// welcome is a start-up that succeeds.
func welcome() *script {
	return (&script{}).msg('R', []byte{0, 0, 0, 0}).msg('S', "server_version\x0015.8\x00").msg('S', "integer_datetimes\x00on\x00").
		msg('K', []byte{0, 0, 0, 7, 0, 0, 0, 8}).ready()
}

func TestFakeServer(t *testing.T) {
	cleanEnv(t)
	for _, c := range []struct {
		name   string
		answer *script
		params string
		want   string // in the error; "" for success
	}{
		{"welcome", welcome(), "", ""},
		{"more after the welcome", welcome().notice("x").msg('S', "a\x00b\x00"), "", ""},
		{"no TLS", welcome(), "sslmode=require", "server does not support SSL, but SSL was required"},
		{"starting", (&script{}).fail("FATAL", "57P03", "the database system is starting up"), "", "FATAL:  the database system is starting up"},
		{"password", (&script{}).msg('R', []byte{0, 0, 0, 3}), "", "fe_sendauth: no password supplied"},
		{"no integers", (&script{}).msg('R', []byte{0, 0, 0, 0}).msg('S', "server_version\x0015\x00").ready(), "", "integer_datetimes"},
		{"float dates", (&script{}).msg('R', []byte{0, 0, 0, 0}).msg('S', "integer_datetimes\x00off\x00").ready(), "", "does not match server"},
		{"no version", (&script{}).msg('R', []byte{0, 0, 0, 0}).msg('S', "integer_datetimes\x00on\x00").ready(), "", "server's version"},
		{"huge message", &script{[]byte("R\x3f\xff\xff\xff")}, "", "before the end of the authentication"},
		{"impossible length", &script{[]byte("R\x00\x00\x00\x03")}, "", "with length"},
		{"short request", &script{[]byte("R\x00\x00\x00\x05x")}, "", "authentication request of 1 bytes"},
		{"garbage", &script{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, "", "connection to server at"},
		{"nothing", &script{}, "", "server closed the connection unexpectedly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			port, started := fakeServer(t, c.answer.b, true)
			cfg, err := ParseConfig(ConnOptions{ConnString: "host=127.0.0.1 user=me " + c.params, Port: port, Replication: true, AppName: "test"})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := Connect(context.Background(), cfg)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				params := <-started
				if params["user"] != "me" || params["database"] != "replication" || params["replication"] != "true" || params["application_name"] != "test" {
					t.Errorf("start-up %v", params)
				}
				if conn.BackendPID() != 7 {
					t.Errorf("process %d", conn.BackendPID())
				}
				if _, err := conn.IdentifySystem(context.Background()); !errors.Is(err, errServerClosed) || !IsConnectionLost(err) {
					t.Errorf("lost connection: %v", err)
				}
				conn.Close()
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %s", err, c.want)
			}
		})
	}
}

// TestNextHost goes past a server that is starting, one that does not answer, and one that cannot be reached.
func TestNextHost(t *testing.T) {
	cleanEnv(t)
	starting, _ := fakeServer(t, (&script{}).fail("FATAL", "57P03", "the database system is starting up").b, true)
	silent, _ := fakeServer(t, nil, false)
	good, started := fakeServer(t, welcome().b, false)
	hosts := "host=127.0.0.1,127.0.0.1,/none,127.0.0.1 user=x connect_timeout=2 port=" + strings.Join([]string{starting, silent, "1", good}, ",")
	cfg, err := ParseConfig(ConnOptions{ConnString: hosts})
	if err != nil {
		t.Fatal(err)
	}
	cfg.opts.Replication = true // the fake server knows no SQL
	c, err := Connect(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p := strconv.Itoa(int(c.used.port)); p != good || len(started) != 1 {
		t.Errorf("connected to port %s, want %s", p, good)
	}
	cfg.hosts = cfg.hosts[1:2]
	if _, err := Connect(context.Background(), cfg); err == nil || !strings.HasSuffix(err.Error(), "failed: timeout expired") || !IsConnectionLost(err) {
		t.Errorf("silent server: %v", err)
	}
	// A server that refuses is the end, whatever hosts follow.
	refuse, _ := fakeServer(t, (&script{}).fail("FATAL", "28000", "no pg_hba.conf entry").b, true)
	cfg, err = ParseConfig(ConnOptions{ConnString: "host=127.0.0.1,127.0.0.1 user=x sslmode=disable port=" + refuse + "," + good, Replication: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(context.Background(), cfg); SQLState(err) != "28000" {
		t.Errorf("refused: %v", err)
	}
}

// TestConnectCancel ends the context while the server is silent.
func TestConnectCancel(t *testing.T) {
	cleanEnv(t)
	silent, started := fakeServer(t, nil, false)
	cfg, err := ParseConfig(ConnOptions{ConnString: "host=127.0.0.1 user=x sslmode=disable", Port: silent, Replication: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-started; cancel() }()
	if _, err := Connect(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestCloseIsQuick closes a connection to a server that reads nothing any more.
func TestCloseIsQuick(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	c := &Conn{net: client, cfg: &Config{set: settings{}}, wire: &wire{r: client, buf: make([]byte, wireBufferSize)}, params: map[string]string{}}
	done := make(chan bool)
	go func() { c.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("Close hangs")
	}
}
