package source

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
)

// Setup prepares a session for long reads: no timeout that this version has ends it, no name is looked up outside of pg_catalog, and names of files
// come and go as the bytes that they are, whatever encoding the client or the server's configuration asks for.
const Setup = `SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
	WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout');
SELECT pg_catalog.set_config('search_path', '', false), pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)`

// with runs fn with one of the connections, opening it when it is not there. When the connection is lost on the way, as one may be that was idle while others
// worked, fn is run once more with a fresh one; it has to go on where it was. Backup mode is held by another connection, so nothing else is lost.
func (r *sqlReader) with(ctx context.Context, fn func(*pgconn.PgConn) error) error {
	var c *pgconn.PgConn
	select {
	case c = <-r.pool:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() {
		if c != nil && c.IsClosed() {
			c = nil
		}
		r.pool <- c
	}()
	for again := false; ; again = true {
		if c == nil {
			fresh, err := r.connect(ctx)
			if err != nil {
				return err
			}
			c = fresh
		}
		err := fn(c)
		if again || ctx.Err() != nil || !postgres.IsConnectionLost(err) {
			return err
		}
		c.Close(context.WithoutCancel(ctx))
		c = nil
	}
}

func (r *sqlReader) connect(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := r.cfg.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.Exec(ctx, Setup).ReadAll(); err != nil {
		c.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return c, nil
}
