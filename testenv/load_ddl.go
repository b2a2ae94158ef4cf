package testenv

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// StartDDL makes files come, go, grow, shrink and change their names while a backup reads them: CREATE, TRUNCATE, VACUUM FULL, REINDEX and
// DROP of permanent, unlogged and temporary tables, CREATE and DROP DATABASE, and commits in between. Each of the clients has tables and
// databases of its own; some of them are left when it stops.
func (s *Server) StartDDL(clients int) *Load {
	s.t.Helper()
	return s.startLoad("postgres", clients, func(ctx context.Context, conn *pgx.Conn, client, round int) error {
		for _, sql := range ddlRound(client, round) {
			if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
				return sqlError(sql, err)
			}
		}
		return nil
	})
}

func ddlRound(client, round int) []string {
	t := fmt.Sprintf("ddl_%d", client)
	sql := []string{
		"DROP TABLE IF EXISTS " + t,
		fmt.Sprintf("CREATE TABLE %s AS SELECT i, repeat(md5(i::text), 8) AS filler FROM generate_series(1, 2000) i", t),
		fmt.Sprintf("CREATE INDEX ON %s (i)", t),
		fmt.Sprintf("DELETE FROM %s WHERE i %% 2 = 0", t),
		"VACUUM FULL " + t,
		"REINDEX TABLE " + t,
		fmt.Sprintf("DROP TABLE IF EXISTS %s_unlogged", t),
		fmt.Sprintf("CREATE UNLOGGED TABLE %s_unlogged AS SELECT i FROM generate_series(1, 500) i", t),
		fmt.Sprintf("CREATE TEMP TABLE %s_temp AS SELECT i FROM generate_series(1, 500) i", t),
		fmt.Sprintf("DROP TABLE %s_temp", t),
		// Truncation at the end of a table: a file that shrinks while it is read.
		fmt.Sprintf("DELETE FROM %s WHERE i > 200", t),
		"VACUUM " + t,
		fmt.Sprintf("INSERT INTO %s SELECT i, repeat('x', 500) FROM generate_series(1, 500) i", t),
	}
	if round%3 == 0 {
		sql = append(sql, "TRUNCATE "+t, fmt.Sprintf("INSERT INTO %s VALUES (1, 'after truncate')", t))
	}
	if round%4 == 0 {
		sql = append(sql, "DROP DATABASE IF EXISTS "+t+"_db", "CREATE DATABASE "+t+"_db TEMPLATE template0")
	}
	return sql
}
