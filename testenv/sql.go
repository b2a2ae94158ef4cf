package testenv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// sqlTimeout bounds one statement of the helpers.
const sqlTimeout = 5 * time.Minute

// Conn is a new connection to a database as the superuser, closed when the test ends.
func (s *Server) Conn(db string) *pgx.Conn {
	s.t.Helper()
	conn, err := s.connect(context.Background(), db)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (s *Server) connect(ctx context.Context, db string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(s.ConnString())
	if err != nil {
		return nil, err
	}
	cfg.Database = db
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	cfg.RuntimeParams["application_name"] = "testenv"
	return pgx.ConnectConfig(ctx, cfg)
}

// Exec runs statements in database postgres, as psql does: separated by semicolons they are one transaction, given as several strings each
// is its own. An error fails the test.
func (s *Server) Exec(statements ...string) {
	s.t.Helper()
	s.ExecIn("postgres", statements...)
}

// ExecIn is Exec in another database.
func (s *Server) ExecIn(db string, statements ...string) {
	s.t.Helper()
	if err := s.TryExec(db, statements...); err != nil {
		s.t.Fatal(err)
	}
}

// TryExec is ExecIn that returns the error.
func (s *Server) TryExec(db string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), sqlTimeout)
	defer cancel()
	conn, err := s.connect(ctx, db)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return sqlError(sql, err)
		}
	}
	return nil
}

// QueryRow scans the first row of a query in database postgres into dest. An error fails the test.
func (s *Server) QueryRow(sql string, dest ...any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sqlTimeout)
	defer cancel()
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, sql).Scan(dest...); err != nil {
		s.t.Fatal(sqlError(sql, err))
	}
}

// Value is the first column of the first row as text ("" for NULL or no row; booleans are "true" and "false"). An error fails the test.
func (s *Server) Value(sql string) string {
	s.t.Helper()
	v, err := s.TryValue("postgres", sql)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// TryValue is Value in a database, with the error returned.
func (s *Server) TryValue(db, sql string) (string, error) {
	rows, err := s.TryRows(db, sql)
	if err != nil || len(rows) == 0 || len(rows[0]) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

// TryRows gives all rows of the last statement, each value in PostgreSQL's text form, NULL as "", booleans as "true" and "false".
func (s *Server) TryRows(db, sql string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sqlTimeout)
	defer cancel()
	conn, err := s.connect(ctx, db)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	return textRows(ctx, conn, sql)
}

func textRows(ctx context.Context, conn *pgx.Conn, sql string) ([][]string, error) {
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, sqlError(sql, err)
	}
	var rows [][]string
	if len(results) == 0 {
		return nil, nil
	}
	last := results[len(results)-1]
	for _, r := range last.Rows {
		row := make([]string, len(r))
		for i, v := range r {
			row[i] = string(v)
			if last.FieldDescriptions[i].DataTypeOID == pgtype.BoolOID && v != nil {
				row[i] = strconv.FormatBool(row[i] == "t")
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// sqlError adds the statement, and the parts of a server's message that pgx leaves out.
func sqlError(sql string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Detail != "" {
		err = fmt.Errorf("%w; %s", err, pg.Detail)
	}
	if len(sql) > 200 {
		sql = sql[:200] + "…"
	}
	return fmt.Errorf("%s: %w", sql, err)
}

// Tablespace makes a tablespace in a directory of its own and returns that directory.
func (s *Server) Tablespace(name string) string {
	s.t.Helper()
	dir := s.NewDir("ts_" + name)
	s.Exec(fmt.Sprintf("CREATE TABLESPACE %s LOCATION %s", pgx.Identifier{name}.Sanitize(), quote(dir)))
	return dir
}

// LSN is the server's position: of the WAL it has written, or on a standby replayed.
func (s *Server) LSN() string {
	s.t.Helper()
	return s.Value("SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END")
}

// Databases are all databases that accept connections, templates included, sorted. Without those that DROP DATABASE left half removed when it was
// interrupted (datconnlimit is -2 since 11.21, 12.16, 13.12, 14.9, 15.4): nobody can connect to them.
func (s *Server) Databases() []string {
	s.t.Helper()
	rows, err := s.TryRows("postgres", "SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2")
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, r[0])
	}
	slices.Sort(names)
	return names
}
