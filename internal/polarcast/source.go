package polarcast

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/cli/basebackup"
	"polarcast/internal/postgres"
)

// Source is how the server is reached.
type Source struct {
	replication *postgres.Config
	sql         *postgres.Config
}

// SourceOptions say where the server is.
type SourceOptions struct {
	Options *basebackup.Options
	// AppName is shown by pg_stat_activity.
	AppName  string
	Prompt   func(text string) (string, error)
	OnNotice func(severity, message, detail, hint, code string)
}

// NewSource reads the connection options as libpq does. Nothing is connected.
func NewSource(o SourceOptions) (*Source, error) {
	c := postgres.ConnOptions{ConnString: o.Options.ConnString, Host: o.Options.Host, Port: o.Options.Port, User: o.Options.User,
		NoPassword: o.Options.Password == basebackup.PasswordNever, ForcePassword: o.Options.Password == basebackup.PasswordForce,
		Prompt: o.Prompt, AppName: o.AppName, OnNotice: o.OnNotice}
	sql, err := postgres.ParseConfig(c)
	if err != nil {
		return nil, err
	}
	c.Replication = true
	rep, err := postgres.ParseConfig(c)
	if err != nil {
		return nil, err
	}
	return &Source{replication: rep, sql: sql}, nil
}

// Connect opens a replication connection.
func (s *Source) Connect(ctx context.Context) (*postgres.Conn, error) {
	return postgres.Connect(ctx, s.replication)
}

// ConnectSQL opens an ordinary connection.
func (s *Source) ConnectSQL(ctx context.Context) (*pgconn.PgConn, error) {
	return postgres.ConnectSQL(ctx, s.sql)
}

// ConnInfo is the connection string with which a node of a server version follows this server.
func (s *Source) ConnInfo(serverVersion int) string {
	return s.replication.PrimaryConnInfo(serverVersion)
}

// setting reads one setting of the server by SQL.
func (s *Source) setting(ctx context.Context, name string) (string, error) {
	conn, err := s.ConnectSQL(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r := conn.ExecParams(ctx, "select pg_catalog.current_setting($1)", [][]byte{[]byte(name)}, nil, nil, nil).Read()
	if r.Err != nil {
		return "", fmt.Errorf("could not read the server's %s: %w", name, r.Err)
	}
	if len(r.Rows) != 1 || len(r.Rows[0]) != 1 {
		return "", errors.New("the server did not answer with one value for " + name)
	}
	return string(r.Rows[0][0]), nil
}
