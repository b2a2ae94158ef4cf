package stages_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/stages/source"
	"polarcast/stages/wal"
	"polarcast/testenv"
)

// TestWALWaitsForThePlaceOfItsFirstConnection cuts the very first connection for WAL, and has the server still count it: its place is waited for. A server that has
// no room from the start says so at once.
func TestWALWaitsForThePlaceOfItsFirstConnection(t *testing.T) {
	t.Parallel()
	srv := testenv.Start(t, 15, testenv.Options{})
	r := newRig(t, srv, rigOptions{read: source.ReadPath})
	r.storage()
	r.node()
	r.reader(1, nil)
	r.checkpoint()
	full := &pgconn.PgError{Severity: "FATAL", Code: "53300", Message: "number of requested standby connections exceeds max_wal_senders"}
	never := wal.New(wal.Config{Env: r.fresh(), Connect: func(context.Context) (*postgres.Conn, error) { return nil, full }})
	if err := never.Run(r.ctx); !postgres.IsCrowded(err) {
		t.Errorf("a server without room from the start: %v", err)
	}
	var attempts atomic.Int32
	r.run("wal", wal.New(wal.Config{Env: r.fresh(), Connect: func(ctx context.Context) (*postgres.Conn, error) {
		n := attempts.Add(1)
		if n == 2 {
			return nil, full
		}
		conn, err := r.replication(ctx)
		if err == nil && n == 1 {
			conn.Close()
		}
		return conn, err
	}}).Run)
	r.completed()
	if attempts.Load() < 3 {
		t.Errorf("%d connections", attempts.Load())
	}
	r.verify()
}
