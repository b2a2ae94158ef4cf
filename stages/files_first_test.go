package stages_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/stages/checkpoint"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesFirstSessionIsCut cuts the link just when the first session begins: the server had been reached before, and is waited for.
func TestFilesFirstSessionIsCut(t *testing.T) {
	t.Parallel()
	srv := testenv.Start(t, 15, testenv.Options{})
	r := newRig(t, srv, rigOptions{read: source.ReadPath})
	var attempts atomic.Int32
	cut := func(ctx context.Context) (*pgconn.PgConn, error) {
		if attempts.Add(1) <= 2 {
			return nil, fmt.Errorf("connection failed: %w", syscall.ECONNRESET)
		}
		return r.sql(ctx)
	}
	r.writers()
	r.reader(1, nil)
	r.run("checkpoint", checkpoint.NewFiles(checkpoint.FilesConfig{ConnectSQL: cut, Open: r.open, Retries: 1, SpillDir: t.TempDir(),
		Config: checkpoint.Config{Env: r.fresh(), Connect: r.replication, Reconnects: 1, RetryDelay: time.Millisecond}}).Run)
	if st := r.completed(); st.Session().Started.Session != 1 || attempts.Load() < 3 {
		t.Errorf("session %d after %d attempts", st.Session().Started.Session, attempts.Load())
	}
	r.verify()
}
