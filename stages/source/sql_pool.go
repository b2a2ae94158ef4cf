package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
)

// Setup prepares a session for long reads: no timeout that this version has ends it, no name is looked up outside of pg_catalog, and names of files
// come and go as the bytes that they are, whatever encoding the client or the server's configuration asks for.
const Setup = `SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
	WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout');
SELECT pg_catalog.set_config('search_path', '', false), pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)`

// with runs fn with one of the connections. When the connection is lost on the way, as one may be that was idle while others worked, fn is run once more with
// a fresh one; it has to go on where it was. Backup mode is held by another connection, so nothing else is lost.
func (r *sqlReader) with(ctx context.Context, fn func(*pgconn.PgConn) error) error {
	c, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer func() { r.give(c) }()
	err = fn(c)
	if ctx.Err() != nil || !postgres.IsConnectionLost(err) {
		return err
	}
	c.Close(context.WithoutCancel(ctx))
	if c, err = r.open(ctx); err != nil { // not one that is idle, which may be lost too
		return err
	}
	return fn(c)
}

// take returns a connection that nobody else uses, opening one when there is room for it.
func (r *sqlReader) take(ctx context.Context) (*pgconn.PgConn, error) {
	select {
	case c := <-r.idle:
		return c, nil
	default:
	}
	select {
	case c := <-r.idle:
		return c, nil
	case <-r.room:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return r.open(ctx)
}

// open makes a connection for one that has room for it, which is given up when there is an error.
func (r *sqlReader) open(ctx context.Context) (*pgconn.PgConn, error) {
	for start := time.Now(); ; {
		c, err := r.connect(ctx)
		if err == nil {
			return c, nil
		}
		if !r.waits(err) || time.Since(start) > crowded {
			r.room <- struct{}{}
			return nil, err
		}
		select {
		case c := <-r.idle:
			r.room <- struct{}{}
			return c, nil
		case <-time.After(time.Second):
		case <-ctx.Done():
			r.room <- struct{}{}
			return nil, context.Cause(ctx)
		}
	}
}

// give is the end of take.
func (r *sqlReader) give(c *pgconn.PgConn) {
	switch {
	case c == nil:
	case c.IsClosed():
		r.room <- struct{}{}
	default:
		r.idle <- c
	}
}

// crowded is how long one that reads waits for a server that has no room for a further connection, and for a connection that others are done with.
const crowded = 5 * time.Minute

// waits reports whether a connection that could not be opened may be had later: a backup that is under way does not end because applications have taken all
// connections, and goes on over those that it has. One that begins is told at once.
func (r *sqlReader) waits(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server != "" && postgres.IsCrowded(err)
}

func (r *sqlReader) connect(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := r.cfg.Connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = c.Exec(ctx, Setup).ReadAll()
	if err == nil {
		err = r.sameServer(ctx, c)
	}
	if err != nil {
		postgres.CloseSQL(c)
		return nil, err
	}
	return c, nil
}

// StartedAt asks a server when it was started, as text: no two servers answer the same.
func StartedAt(ctx context.Context, c *pgconn.PgConn) (string, error) {
	res := c.ExecParams(ctx, "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text", nil, nil, nil, nil).Read()
	if res.Err != nil || len(res.Rows) != 1 {
		return "", fmt.Errorf("could not ask the server when it was started: %w", res.Err)
	}
	return string(res.Rows[0][0]), nil
}

// ErrOtherServer says that a connection is to another server than the one that the backup's session is on, or to one that was restarted since.
var ErrOtherServer = errors.New("the connection options lead to several servers, or the server was restarted: this connection is to another one than the backup's session; name one host")

// OneServer makes a reader refuse another server than the one that was started at a time (StartedAt), where it has connections to one. Connection options may
// name several, of which one is a standby that has older files.
func OneServer(ctx context.Context, r Reader, started string) error {
	if s, ok := r.(*sqlReader); ok && started != "" {
		return s.oneServer(ctx, started)
	}
	return nil
}

func (r *sqlReader) oneServer(ctx context.Context, started string) error {
	r.mu.Lock()
	r.server = started
	r.mu.Unlock()
	return r.with(ctx, func(c *pgconn.PgConn) error { return r.sameServer(ctx, c) })
}

// sameServer compares a connection's server with the one that is read; the first one decides unless oneServer has.
func (r *sqlReader) sameServer(ctx context.Context, c *pgconn.PgConn) error {
	started, err := StartedAt(ctx, c)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == "" {
		r.server = started
	}
	if r.server != started {
		return ErrOtherServer
	}
	return nil
}
