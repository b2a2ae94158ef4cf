package testenv

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// checksummed lists the permanent tables, materialized views and sequences that users made in a database. System catalogs are left out: vacuum
// changes them at any time.
const checksummed = `SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'S') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY 1, 2`

// TableChecksums is, for each table "database.schema.table" of each database, its number of rows and a checksum over all of them, and for
// each database "database" itself; two servers hold the same data when the maps are equal. Both must be at the same position: stop all
// writers and wait for CaughtUp, or compare with a snapshot that was taken when the backup ended.
func (s *Server) TableChecksums(dbs ...string) map[string]string {
	s.t.Helper()
	if len(dbs) == 0 {
		dbs = s.Databases()
	}
	sums := map[string]string{}
	for _, db := range dbs {
		if db == "template0" {
			continue
		}
		if err := s.databaseChecksums(db, sums); err != nil {
			s.t.Fatalf("checksums of database %s on port %d: %v", db, s.Port, err)
		}
	}
	return sums
}

func (s *Server) databaseChecksums(db string, sums map[string]string) error {
	ctx, cancel := context.WithTimeout(context.Background(), sqlTimeout)
	defer cancel()
	conn, err := s.connect(ctx, db)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// Index scans could hide what is wrong in the heap, and the other way round: Integrity looks at the indexes.
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off"); err != nil {
		return err
	}
	tables, err := textRows(ctx, conn, checksummed)
	if err != nil {
		return err
	}
	sums[db] = fmt.Sprintf("%d relations", len(tables))
	for _, t := range tables {
		name := pgx.Identifier{t[0], t[1]}.Sanitize()
		row := "t::text"
		if t[2] == "S" {
			row = "t.last_value::text || t.is_called"
		}
		sum, err := textRows(ctx, conn, fmt.Sprintf(
			`SELECT count(*) || ' rows ' || coalesce(md5(string_agg(h, '' ORDER BY h)), '') FROM (SELECT md5(%s) AS h FROM %s t) x`, row, name))
		if err != nil {
			return err
		}
		sums[db+"."+t[0]+"."+t[1]] = sum[0][0]
	}
	return nil
}

// SameData fails the test when two results of TableChecksums differ, and names what differs.
func SameData(t testing.TB, got, want map[string]string) {
	t.Helper()
	var diff []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			diff = append(diff, fmt.Sprintf("%s: %q, want %q", name, got[name], want[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			diff = append(diff, fmt.Sprintf("%s: %q, want no such table", name, got[name]))
		}
	}
	if len(diff) > 0 {
		t.Errorf("the copy differs from the source:\n%s", strings.Join(diff, "\n"))
	}
	if len(want) == 0 {
		t.Error("there was nothing to compare")
	}
}

// Integrity checks every b-tree index of every database against its table with amcheck, and that every page of every table can be read.
// Skipped silently on servers that have no contrib modules (the npm packages of some majors).
func (s *Server) Integrity() {
	s.t.Helper()
	for _, db := range s.Databases() {
		if db == "template0" {
			continue
		}
		if s.Value("SELECT pg_is_in_recovery()") == "false" {
			if err := s.TryExec(db, "CREATE EXTENSION IF NOT EXISTS amcheck"); err != nil {
				return
			}
		}
		rows, err := s.TryRows(db, "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'")
		if err != nil {
			s.t.Fatal(err)
		}
		if rows[0][0] == "0" {
			continue
		}
		if err := s.TryExec(db, `SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
			WHERE a.amname = 'btree' AND c.relpersistence = 'p' AND i.indisready AND i.indisvalid`); err != nil {
			s.t.Errorf("database %s of the server on port %d: %v", db, s.Port, err)
		}
	}
}
