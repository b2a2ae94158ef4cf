package tablespace

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/testenv"
)

// TestCountFiles has a server count a tree.
func TestCountFiles(t *testing.T) {
	s := testenv.Start(t, 15, testenv.Options{})
	dir := testenv.Dir(t)
	for name, size := range map[string]int64{"global/pg_control": 8192, "base/5/16384": 9 << 20, "base/5/16385": 0, "pg_wal/000000010000000000000001": 16 << 20,
		"pg_logindex/0": 1, "polar_fullpage/00000000.fp": 256 << 20, "polar_fullpage/log_index_meta": 100} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Own(t, dir)
	conn, err := pgconn.Connect(t.Context(), s.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	files, blocks, err := countFiles(t.Context(), conn, dir)
	// The tree itself and 6 directories, 5 files that are not in WAL or index directories; 1 block, 3 of the table, and 1.
	if err != nil || files != 12 || blocks != 5 {
		t.Errorf("%d files, %d blocks, %v; want 12 and 5", files, blocks, err)
	}
}
