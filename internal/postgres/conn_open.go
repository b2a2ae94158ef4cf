package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Connect makes a connection: it tries the hosts of the list in order, each with its addresses, with and without TLS as sslmode says, and asks for a
// password (once) when the server wants one and none is known. Error texts are libpq's; several attempts give several lines.
func Connect(ctx context.Context, cfg *Config) (*Conn, error) {
	c, _, err := connect(ctx, cfg)
	return c, err
}

// ConnectSQL makes a connection for SQL with prepared statements and binary results; cfg must have been made without Replication. Timeouts of the session are
// off, its search_path is empty, and text comes and goes in the database's own encoding, unconverted.
func ConnectSQL(ctx context.Context, cfg *Config) (*pgconn.PgConn, error) {
	if cfg.opts.Replication {
		return nil, errors.New("a replication connection cannot be used for SQL")
	}
	_, hijacked, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return pgconn.Construct(hijacked)
}

// CloseSQL closes a connection that ConnectSQL made. It waits like Close of Conn, unless the connection is in use: a role with a CONNECTION LIMIT, or a server
// that is nearly full, may have no room for the next one before.
func CloseSQL(conn *pgconn.PgConn) {
	h, err := conn.Hijack()
	if err != nil {
		_ = conn.Close(context.Background())
		return
	}
	_ = (&Conn{net: h.Conn}).Close()
}

func connect(ctx context.Context, cfg *Config) (*Conn, *pgconn.HijackedConn, error) {
	if cfg.opts.ForcePassword && !cfg.opts.NoPassword {
		if err := cfg.ask(); err != nil {
			return nil, nil, err
		}
	}
	c, hijacked, err := connectHosts(ctx, cfg)
	if errors.Is(err, errPasswordNeeded) && !cfg.opts.NoPassword && cfg.opts.Prompt != nil {
		if err := cfg.ask(); err != nil {
			return nil, nil, err
		}
		c, hijacked, err = connectHosts(ctx, cfg)
	}
	if err != nil {
		return nil, nil, err
	}
	done := c.watch(ctx)
	if err := done(c.setUp()); err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, hijacked, nil
}

// ask gets the password from a person, once for all connections of this configuration.
func (c *Config) ask() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.prompted {
		return nil
	}
	if c.opts.Prompt == nil {
		return errors.New("a password is to be asked for, but there is nobody to ask")
	}
	password, err := c.opts.Prompt("Password: ")
	if err != nil {
		return fmt.Errorf("could not read the password: %w", err)
	}
	c.password, c.prompted = password, true
	return nil
}

// passwordFor is the password to send to a host; "" when none is known.
func (c *Config) passwordFor(t target) string {
	if p, _ := c.knownPassword(); p != "" {
		return p
	}
	return t.password
}

// setUp does what pg_basebackup does with a new connection, and for SQL what pg_rewind does.
func (c *Conn) setUp() error {
	// "on" since version 10, reported by all servers: a walsender's timestamps and positions are integers.
	switch v := c.Parameter("integer_datetimes"); v {
	case "on":
	case "":
		return errors.New("could not determine server setting for \"integer_datetimes\"")
	default:
		return errors.New("\"integer_datetimes\" compile flag does not match server")
	}
	if c.ServerVersion() == 0 {
		return fmt.Errorf("could not read the server's version %q", c.Parameter("server_version"))
	}
	if c.cfg.opts.Replication || c.ServerVersion() < 100000 {
		return nil // a walsender for physical replication knows no SQL, and looks up no names
	}
	settings := []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
	if c.ServerVersion() >= 140000 {
		settings = append(settings, "idle_session_timeout")
	}
	if c.ServerVersion() >= 170000 {
		settings = append(settings, "transaction_timeout")
	}
	// Names of files, tablespaces and databases come as the bytes that they are: a character that another encoding has no form for would be an error.
	sql := "SELECT pg_catalog.set_config('search_path', '', false), pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)"
	for _, s := range settings {
		sql += ", pg_catalog.set_config('" + s + "', '0', false)"
	}
	if _, err := c.query(sql); err != nil {
		return fmt.Errorf("could not set up the session: %w", err)
	}
	return nil
}

// checkSession says whether the server is of the kind that target_session_attrs asks for, with the words of libpq.
func (c *Conn) checkSession(want string) error {
	if want == "any" {
		return nil
	}
	standby, readOnly := c.Parameter("in_hot_standby") == "on", c.Parameter("default_transaction_read_only") == "on"
	if c.Parameter("in_hot_standby") == "" { // before 14; SHOW works for a walsender too, a function call does not
		rows, err := c.query("SHOW transaction_read_only")
		if err != nil {
			return err
		}
		standby = len(rows) == 1 && rows[0].text(0) == "on"
		readOnly = standby
	}
	switch {
	case want == "read-write" && (standby || readOnly):
		return &textError{"session is read-only", errSessionKind}
	case want == "read-only" && !standby && !readOnly:
		return &textError{"session is not read-only", errSessionKind}
	case want == "primary" && standby:
		return &textError{"server is in hot standby mode", errSessionKind}
	case want == "standby" && !standby:
		return &textError{"server is not in hot standby mode", errSessionKind}
	}
	return nil
}

// attemptErrors puts the errors of all attempts on lines of their own, as libpq does.
type attemptErrors []error

func (e attemptErrors) Error() string {
	var lines []string
	for _, err := range e {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

func (e attemptErrors) Unwrap() []error { return e }
