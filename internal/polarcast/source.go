package polarcast

import (
	"context"

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
