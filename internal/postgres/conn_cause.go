package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// cause finds the reason inside pgconn's error and gives it libpq's words.
func (a *attempt) cause(ctx context.Context, err error) error {
	var pe *pgconn.PgError
	switch {
	case context.Cause(ctx) == errTimeout && ctx.Err() != nil:
		return errTimeout
	case errors.As(err, &pe):
		return fromPgError(pe)
	case errors.Is(err, errPasswordNeeded):
		return errPasswordNeeded
	case a.stage == "dial" && a.dialErr != nil:
		var errno syscall.Errno
		if errors.As(a.dialErr, &errno) {
			return &textError{a.dialHint(upperFirst(errno.Error())), a.dialErr}
		}
		return &textError{a.dialHint(a.dialErr.Error()), a.dialErr}
	case strings.Contains(err.Error(), "server refused TLS connection"): // pgconn's startTLS has no typed error for it
		a.stage = "tls"
		return errTLSRefused
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errServerClosed
	}
	inner := innermost(err)
	if a.stage == "dial" && a.tls != nil { // dialled, but the start-up was not begun: it is the handshake
		a.stage = "tls"
		return fmt.Errorf("SSL error: %w", inner)
	}
	return inner
}

// innermost takes off the layers that pgconn puts around an error: the connection string, the address, the step.
func innermost(err error) error {
	var layers = err
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		layers = ce.Unwrap()
	}
	if many, ok := layers.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
		layers = many.Unwrap()[0]
	}
	for range 2 { // the address, the step
		if inner := errors.Unwrap(layers); inner != nil {
			layers = inner
		}
	}
	return layers
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (a *attempt) dialHint(reason string) string {
	if a.target.socket() {
		return reason + "\n\tIs the server running locally and accepting connections on that socket?"
	}
	return reason + "\n\tIs the server running on that host and accepting TCP/IP connections?"
}

// label says which server it is about, as emitHostIdentityInfo in fe-connect.c.
func (a *attempt) label(err error) error {
	if a.target.socket() {
		return fmt.Errorf("connection to server on socket %q failed: %w", strings.Replace(a.addr, "\x00", "@", 1), err)
	}
	name, port := a.target.host, strconv.Itoa(int(a.target.port))
	if name == "" {
		name = a.target.hostaddr
	}
	if name == a.addr {
		return fmt.Errorf("connection to server at %q, port %s failed: %w", name, port, err)
	}
	return fmt.Errorf("connection to server at %q (%s), port %s failed: %w", name, a.addr, port, err)
}
