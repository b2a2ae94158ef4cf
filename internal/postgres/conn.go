package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Conn is a connection to a server, of the replication protocol when its configuration says so (ConnOptions.Replication). It is not safe for use by
// several goroutines, but for what WALStream.SendStatus says.
type Conn struct {
	net    net.Conn
	wire   *wire
	cfg    *Config
	used   target // the host that was reached
	pid    uint32
	params map[string]string // reported by ParameterStatus

	writeMu sync.Mutex
	wbuf    []byte

	broken error  // why the connection cannot be used any more
	busy   string // the exchange that holds the connection: BASE_BACKUP or START_REPLICATION
}

// closeTimeout bounds the goodbye to a server that does not listen any more.
const closeTimeout = 2 * time.Second

// ServerVersion is the server's version in the form of server_version_num: 150018 for 15.18. PolarDB tells that of the PostgreSQL it is made of.
func (c *Conn) ServerVersion() int { return versionNumber(c.params["server_version"]) }

// ServerVersionString is what the server calls its version, as in "15.18 (Debian 15.18-0+deb12u1)".
func (c *Conn) ServerVersionString() string { return c.params["server_version"] }

// BackendPID is the process id of the server process of this connection; pg_basebackup names its temporary slot after it.
func (c *Conn) BackendPID() uint32 { return c.pid }

// Parameter is a setting that the server reported by itself, such as "in_hot_standby"; "" when it did not.
func (c *Conn) Parameter(name string) string { return c.params[name] }

// TLS says whether the connection is encrypted.
func (c *Conn) TLS() bool {
	_, ok := c.net.(*tls.Conn)
	return ok
}

// Close says goodbye, waits for the server to end the connection (2 s at most), and closes it. The server process of it is gone then, its temporary slots
// and its place among max_wal_senders with it: the next connection may be the only one that there is room for.
func (c *Conn) Close() error {
	if c.broken == nil && c.busy == "" {
		c.net.SetDeadline(time.Now().Add(closeTimeout))
		if c.write([]byte{'X', 0, 0, 0, 4}) == nil { // Terminate; the server also accepts a plain end of the connection
			_, _ = io.Copy(io.Discard, c.raw())
		}
	}
	if c.broken == nil {
		c.broken = net.ErrClosed
	}
	return c.abort()
}

// abort cuts the connection without waiting for anything, not even for a TLS goodbye.
func (c *Conn) abort() error { return c.raw().Close() }

// raw is the connection below TLS.
func (c *Conn) raw() net.Conn {
	if t, ok := c.net.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c.net
}

// fail marks the connection as broken by err, unless err is the server's own (recoverable) answer.
func (c *Conn) fail(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errServerClosed
	} else if errors.Is(err, net.ErrClosed) && c.broken == nil {
		err = fmt.Errorf("connection was closed: %w", err)
	}
	if c.broken == nil {
		c.broken = err
		c.abort()
	}
	return err
}

// textError gives an error the words that people know from libpq, and keeps the cause for errors.Is and errors.As.
type textError struct {
	text string
	err  error
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }

// errServerClosed has libpq's words for an end of the connection.
var errServerClosed error = &textError{"server closed the connection unexpectedly\n" +
	"\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.", io.ErrUnexpectedEOF}

// watch cuts the connection when ctx ends; the returned function ends the watch and turns an error that the cut caused into ctx's.
func (c *Conn) watch(ctx context.Context) func(error) error {
	if ctx.Done() == nil {
		return func(err error) error { return err }
	}
	stop := context.AfterFunc(ctx, func() { c.abort() })
	return func(err error) error {
		stop()
		var server *ServerError
		if err != nil && ctx.Err() != nil && !errors.As(err, &server) {
			c.broken = context.Cause(ctx)
			return context.Cause(ctx)
		}
		return err
	}
}

// ready says why the connection cannot take another command.
func (c *Conn) ready() error {
	if c.broken != nil {
		return fmt.Errorf("the connection cannot be used any more: %w", c.broken)
	}
	if c.busy != "" {
		return fmt.Errorf("the connection is busy with %s", c.busy)
	}
	return nil
}

// write sends b as it is.
func (c *Conn) write(b []byte) error {
	_, err := c.net.Write(b)
	return err
}

// sendMessage sends one message; parts are its body.
func (c *Conn) sendMessage(typ byte, parts ...[]byte) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	b := append(c.wbuf[:0], typ)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for _, p := range parts {
		b = append(b, p...)
	}
	c.wbuf = b[:0]
	return c.write(b)
}

// Bounds of what is kept of ParameterStatus: bytes of one, and their number. Servers report about 15 settings.
const (
	maxParameter  = 16 << 10
	maxParameters = 200
)

// copyHeader is the longest header inside a CopyData, in bytes: that of WAL, a type, start, end, time.
const copyHeader = 1 + 8 + 8 + 8

// next begins the next message, having dealt with those that may come at any time: notices, parameters, notifications. All but CopyData are complete in
// the buffer when it returns, and of CopyData the first copyHeader bytes, so that a read deadline that passes loses nothing.
func (c *Conn) next() (typ byte, n int, err error) {
	for {
		if err := c.wire.skip(); err != nil {
			return 0, 0, err
		}
		typ, n, err := c.wire.header()
		if err != nil {
			return 0, 0, err
		}
		whole := min(n, copyHeader)
		if typ != 'd' {
			if whole = n; n > maxSmallBody {
				return 0, 0, protocolErrorf("message of type %q with %d bytes", typ, n)
			}
		}
		if err := c.wire.ensure(5 + whole); err != nil {
			return 0, 0, err
		}
		if _, _, err := c.wire.next(); err != nil {
			return 0, 0, err
		}
		switch typ {
		case 'N':
			body, err := c.wire.body()
			if err != nil {
				return 0, 0, err
			}
			c.notice(parseServerError(body))
		case 'S':
			body, err := c.wire.body()
			if err != nil {
				return 0, 0, err
			}
			if name, rest, ok := cutString(body); ok {
				if value, _, ok := cutString(rest); ok && len(body) <= maxParameter && (len(c.params) < maxParameters || c.params[name] != "") {
					c.params[name] = value
				}
			}
		case 'A': // nobody here listens
		default:
			return typ, n, nil
		}
	}
}

func (c *Conn) notice(e *ServerError) {
	if c.cfg.OnNotice != nil {
		c.cfg.OnNotice(e.Severity, e.Message, e.Detail, e.Hint, e.Code)
	}
}

// serverError reads the ErrorResponse that next has begun. After a FATAL one the connection is at its end.
func (c *Conn) serverError() error {
	body, err := c.wire.body()
	if err != nil {
		return err
	}
	return parseServerError(body)
}

// sync reads up to ReadyForQuery, so that the connection is usable again; the first error on the way is returned.
func (c *Conn) sync() error {
	var first error
	for {
		typ, _, err := c.next()
		switch {
		case err != nil && first != nil:
			c.fail(err) // such as the end of the connection after FATAL: the reason was said before
			return first
		case err != nil:
			return c.fail(err)
		case typ == 'Z':
			return first
		case typ == 'E' && first == nil:
			first = c.serverError()
		}
	}
}
