package source_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestOneServer has connection options that lead to another server when the first is away, as with several hosts: its files are not mixed in.
func TestOneServer(t *testing.T) {
	ctx := t.Context()
	servers := []*testenv.Server{testenv.Start(t, 15, testenv.Options{}), testenv.Start(t, 15, testenv.Options{})}
	var at atomic.Int32
	connect := func(ctx context.Context) (*pgconn.PgConn, error) {
		return pgconn.Connect(ctx, servers[at.Load()].ConnString()+" application_name="+pooled)
	}
	started := func(i int32) string {
		t.Helper()
		at.Store(i)
		c, err := connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		v, err := source.StartedAt(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	second, first := started(1), started(0)
	r, err := source.NewSQL(ctx, source.SQLConfig{Connect: connect, Rules: source.NewRules(postgres.ExcludeOptions{ServerVersion: 150000})})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := func() error {
		return r.(source.Batcher).ReadRanges(ctx, []source.Range{{Tree: messages.TreeLocal, Path: "PG_VERSION", Length: 10}}, func(int, []byte) error { return nil })
	}
	if err := errors.Join(source.OneServer(ctx, r, first), read()); err != nil {
		t.Fatal(err)
	}
	at.Store(1)
	servers[0].Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + pooled + "'")
	if err := read(); !errors.Is(err, source.ErrOtherServer) {
		t.Errorf("read from the other server: %v", err)
	}
	at.Store(0)
	if err := read(); err != nil {
		t.Errorf("read from the first again: %v", err)
	}
	if err := source.OneServer(ctx, r, second); !errors.Is(err, source.ErrOtherServer) {
		t.Errorf("a session on the other server: %v", err)
	}
}
