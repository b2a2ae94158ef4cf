package testenv

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// StartMixed runs what makes WAL of many kinds, but for what a backup that is joined from several sessions must not hold: subtransactions, prepared
// transactions of which some stay open, multixacts, large objects, VACUUM FULL of tables and of system catalogs (whose relation map changes), REINDEX,
// TRUNCATE, tables that move to the given tablespaces and back, and from 15 on databases that are made through WAL. The server must allow prepared
// transactions.
func (s *Server) StartMixed(clients int, spaces ...string) *Load {
	s.t.Helper()
	s.Exec("CREATE TABLE mixed_shared (k int PRIMARY KEY, v int)", "INSERT INTO mixed_shared SELECT g, 0 FROM generate_series(1, 200) g",
		"CREATE TABLE mixed_child (k int REFERENCES mixed_shared, v text)", "CREATE INDEX ON mixed_child (v)")
	// One client at a time makes multixacts. When a server crashes while two do, and the one with the lower number is not in the WAL yet, then whoever looks
	// at the one before it waits for ever, with the page of its row locked (GetMultiXactIdMembers, multixact.c).
	var multixacts sync.Mutex
	return s.startLoad("postgres", clients, func(ctx context.Context, conn *pgx.Conn, client, round int) error {
		other, err := s.connect(ctx, "postgres")
		if err != nil {
			return err
		}
		defer other.Close(ctx)
		run := func(statements []string) error {
			for _, sql := range statements {
				on := conn
				if rest, ok := strings.CutPrefix(sql, "other:"); ok {
					on, sql = other, rest
				}
				if _, err := on.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
					_, _ = conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
					return sqlError(sql, err)
				}
			}
			return nil
		}
		statements := s.mixedRound(client, round, spaces)
		multixacts.Lock()
		err = run(statements[:withMultixacts])
		multixacts.Unlock()
		if err != nil {
			return err
		}
		return run(statements[withMultixacts:])
	})
}

// withMultixacts is how many statements of a round lock rows that others may hold.
const withMultixacts = 4

func (s *Server) mixedRound(client, round int, spaces []string) []string {
	k, t := (client*37+round)%200+1, fmt.Sprintf("mixed_%d", client)
	gid := fmt.Sprintf("%s_%d", t, round)
	sql := []string{
		// Two transactions that hold the same row: a multixact, with an update in one of them.
		fmt.Sprintf("BEGIN; SELECT 1 FROM mixed_shared WHERE k = %d FOR KEY SHARE", k),
		fmt.Sprintf("other:BEGIN; SELECT 1 FROM mixed_shared WHERE k = %d FOR KEY SHARE; UPDATE mixed_shared SET v = v + 1 WHERE k = %d; COMMIT", k, k),
		fmt.Sprintf("INSERT INTO mixed_child VALUES (%d, 'a%d'); SAVEPOINT a; INSERT INTO mixed_child VALUES (%d, 'b%d'); ROLLBACK TO a; SAVEPOINT b; INSERT INTO mixed_child VALUES (%d, 'c%d'); COMMIT",
			k, round, k, round, k, round),
		fmt.Sprintf("BEGIN; INSERT INTO mixed_child VALUES (%d, 'p%d'); SAVEPOINT a; INSERT INTO mixed_child VALUES (%d, 'q%d'); PREPARE TRANSACTION '%s'", k, round, k, round, gid),
		"SELECT lo_from_bytea(0, convert_to(repeat('" + gid + "', 2000), 'UTF8'))",
	}
	if round%7 != 3 { // the others stay open
		sql = append(sql, fmt.Sprintf("%s PREPARED '%s'", []string{"COMMIT", "ROLLBACK"}[round%2], gid))
	}
	switch round % 10 {
	case 0:
		sql = append(sql, "DROP TABLE IF EXISTS "+t, fmt.Sprintf("CREATE TABLE %s AS SELECT i, repeat(md5(i::text), 8) AS v FROM generate_series(1, 1500) i", t),
			fmt.Sprintf("CREATE INDEX ON %s (i)", t), fmt.Sprintf("CREATE INDEX ON %s USING hash (v)", t))
	case 1:
		sql = append(sql, fmt.Sprintf("DELETE FROM %s WHERE i %% 2 = 0", t), "VACUUM FULL "+t)
	case 2:
		if len(spaces) > 0 {
			sql = append(sql, fmt.Sprintf("ALTER TABLE %s SET TABLESPACE %s", t, spaces[round/10%len(spaces)]))
		}
	case 3:
		sql = append(sql, "REINDEX TABLE "+t, "VACUUM mixed_shared")
	case 4:
		sql = append(sql, "TRUNCATE "+t, fmt.Sprintf("INSERT INTO %s SELECT i, 'after truncate' FROM generate_series(1, 500) i", t))
	case 5:
		if client == 0 { // a mapped catalog
			sql = append(sql, "VACUUM FULL pg_type")
		}
	case 6:
		sql = append(sql, fmt.Sprintf("ALTER TABLE %s SET TABLESPACE pg_default", t))
	case 7:
		if s.Major >= 15 {
			sql = append(sql, "DROP DATABASE IF EXISTS "+t+"_db", "CREATE DATABASE "+t+"_db TEMPLATE template0 STRATEGY wal_log")
		}
	}
	return sql
}
