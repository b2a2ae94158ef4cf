package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/messages"
	"polarcast/testenv"
)

// TestLocalDir finds the data directory of a server, and does not take for it the directory of another one: not that of a clone which has the same system
// identifier and was started in the same second on the same port, as two containers may be.
func TestLocalDir(t *testing.T) {
	srv := testenv.Start(t, 15, testenv.Options{})
	conn, err := pgconn.Connect(t.Context(), srv.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if dir, err := LocalDir(t.Context(), conn, &messages.Prepared{}); err != nil || dir != srv.Data {
		t.Errorf("the directory is %q (%v), want %q", dir, err, srv.Data)
	}
	clone := t.TempDir()
	if err := os.CopyFS(clone, os.DirFS(srv.Data)); err != nil {
		t.Fatal(err)
	}
	if err := runsIn(t.Context(), conn, clone); err != nil {
		t.Fatalf("the clone has another start time or port: %v", err)
	}
	// The clone goes its own way; the server's control file is another one then.
	srv.Exec("CHECKPOINT")
	err = controlsIn(t.Context(), conn, clone)
	if err == nil || !strings.Contains(err.Error(), "is not the one of the server") {
		t.Errorf("the directory of a clone was taken: %v", err)
	}
	if err := os.WriteFile(filepath.Join(clone, "postmaster.pid"), []byte("1\n/x\n1000\n5432\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runsIn(t.Context(), conn, clone); err == nil {
		t.Error("a server that was started at another time was taken")
	}
}
