package source_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// TestServerWithoutRoom has applications take all connections but one while a backup reads: it goes on over that one. One that begins is refused.
func TestServerWithoutRoom(t *testing.T) {
	ctx := t.Context()
	srv := testenv.Start(t, 15, testenv.Options{})
	srv.Exec("CREATE ROLE few LOGIN CONNECTION LIMIT 1",
		"GRANT EXECUTE ON FUNCTION pg_ls_dir(text,boolean,boolean), pg_stat_file(text,boolean), pg_read_binary_file(text,bigint,bigint,boolean) TO few")
	connect := func(ctx context.Context) (*pgconn.PgConn, error) {
		return pgconn.Connect(ctx, srv.ConnString()+" user=few application_name="+pooled)
	}
	cfg := source.SQLConfig{Connect: connect, Connections: 4, Rules: source.NewRules(postgres.ExcludeOptions{ServerVersion: 150000})}
	r, err := source.NewSQL(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	read := func() error {
		return r.(source.Batcher).ReadRanges(ctx, []source.Range{{Tree: messages.TreeLocal, Path: "PG_VERSION", Length: 10}}, func(int, []byte) error { return nil })
	}
	ended := make(chan error)
	for range 4 {
		go func() { ended <- errors.Join(read(), read(), read()) }()
	}
	for range 4 {
		if err := <-ended; err != nil {
			t.Errorf("four read over the one connection that the server takes: %v", err)
		}
	}
	// An application takes the last one too.
	srv.Exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '" + pooled + "'")
	taken, err := connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- read() }()
	select {
	case err := <-ended:
		t.Errorf("it did not wait for a connection: %v", err)
	case <-time.After(1500 * time.Millisecond):
		taken.Close(ctx)
		if err := <-ended; err != nil {
			t.Errorf("read when there was room again: %v", err)
		}
	}
	// The server may not read this one.
	if err := os.Mkdir(filepath.Join(srv.Data, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	if err := r.List(ctx, func(source.Entry) error { return nil }); err == nil || !strings.Contains(err.Error(), `"./closed"`) && !strings.Contains(err.Error(), `"closed"`) ||
		!strings.Contains(err.Error(), "make it readable for the user that the server runs as") {
		t.Errorf("a directory that the server may not read: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if taken, err = connect(ctx); err != nil {
		t.Fatal(err)
	}
	defer taken.Close(ctx)
	if _, err := source.NewSQL(ctx, cfg); postgres.SQLState(err) != "53300" {
		t.Errorf("begun without a connection: %v", err)
	}
}
