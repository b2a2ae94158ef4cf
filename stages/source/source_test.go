package source_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// pooled is the application_name of the SQL reader's connections.
const pooled = "pooled"

// readers returns the ways to read one server.
func readers(t *testing.T, srv *testenv.Server) map[string]source.Reader {
	t.Helper()
	rules := source.NewRules(postgres.ExcludeOptions{ServerVersion: srv.Major * 10000})
	path, err := source.NewPath(source.PathConfig{Dir: srv.Data, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	sql, err := source.NewSQL(context.Background(), source.SQLConfig{Connections: 2, Rules: rules, Connect: func(ctx context.Context) (*pgconn.PgConn, error) {
		return pgconn.Connect(ctx, srv.ConnString()+" client_encoding=latin1 application_name="+pooled)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { path.Close(); sql.Close() })
	return map[string]source.Reader{source.ReadPath: path, source.ReadSQL: sql}
}

func list(t *testing.T, r source.Reader) map[string]source.Entry {
	t.Helper()
	out := map[string]source.Entry{}
	var order []string
	err := r.List(context.Background(), func(e source.Entry) error {
		if _, twice := out[e.Path]; twice {
			t.Errorf("%s is listed twice", e.Path)
		}
		if i := strings.LastIndexByte(e.Path, '/'); i > 0 && !slices.Contains(order, e.Path[:i]) {
			t.Errorf("%s is listed before its directory", e.Path)
		}
		order = append(order, e.Path)
		out[e.Path] = e
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReadersAgree lists and reads one server in all ways.
func TestReadersAgree(t *testing.T) {
	testenv.EachMajor(t, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Conf: "autovacuum = off\n"})
		space := srv.Tablespace("ts1")
		srv.Exec("CREATE UNLOGGED TABLE u (a int)", "INSERT INTO u VALUES (1)", "CREATE TABLE s TABLESPACE ts1 AS SELECT g FROM generate_series(1, 100) g",
			"CREATE TABLE big AS SELECT g, md5(g::text) FROM generate_series(1, 40000) g", "CHECKPOINT")
		var unlogged, big string
		srv.QueryRow("SELECT pg_relation_filepath('u'), pg_relation_filepath('big')", &unlogged, &big)
		for _, name := range []string{"base/pgsql_tmp/x", "global/pg_internal.init.7", "base/1/t3_16400", "pg_stat_tmp/x", "pg_notify/x", "backup_label.old", "empty", foreign} {
			if i := strings.LastIndexByte(name, '/'); i > 0 {
				_ = os.MkdirAll(srv.Path(name[:i]), 0o700)
			}
			if err := os.WriteFile(srv.Path(name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(space+"/PG_9.6_201608131/1", 0o700); err != nil {
			t.Fatal(err)
		}
		testenv.Own(t, srv.Data)
		testenv.Own(t, space)
		if l, err := net.Listen("unix", srv.Path("sock")); err == nil {
			defer l.Close()
		}
		if err := syscall.Mkfifo(srv.Path("fifo"), 0o600); err != nil {
			t.Fatal(err)
		}
		testenv.Own(t, srv.Path("fifo"))
		defer func() { // lets a backend go that waits for it
			if f, err := os.OpenFile(srv.Path("fifo"), os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
				f.Close()
			}
		}()
		all := readers(t, srv)
		path, sql := list(t, all[source.ReadPath]), list(t, all[source.ReadSQL])
		for _, name := range []string{"sock", "fifo"} { // SQL cannot tell them from empty files
			delete(sql, name)
		}
		for name, e := range path {
			o, ok := sql[name]
			if !ok || o.Kind != e.Kind || o.Link != e.Link || o.Kind == source.File && o.Size != e.Size && !strings.HasPrefix(name, "pg_stat") {
				t.Errorf("%s: by path %+v, by SQL %+v", name, e, o)
			}
		}
		for name := range sql {
			if _, ok := path[name]; !ok {
				t.Errorf("%s is listed by SQL only", name)
			}
		}
		for _, name := range []string{"base/pgsql_tmp", "global/pg_internal.init.7", "base/1/t3_16400", "pg_stat_tmp/x", "pg_notify/x", "postmaster.pid", unlogged, source.ControlFile} {
			if _, ok := path[name]; ok {
				t.Errorf("%s is listed", name)
			}
		}
		for _, name := range []string{"pg_notify", "pg_wal", "pg_wal/archive_status", "empty", foreign, "backup_label.old", unlogged + "_init", big, "PG_VERSION"} {
			if _, ok := path[name]; !ok {
				t.Errorf("%s is not listed", name)
			}
		}
		for name, e := range path {
			if e.Kind == source.Symlink && e.Link != space {
				t.Errorf("link %s leads to %s, want %s", name, e.Link, space)
			}
			if strings.Contains(name, "PG_9.6") {
				t.Errorf("%s of another major is listed", name)
			}
		}
		want, err := os.ReadFile(srv.Path(big))
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range all {
			t.Run(name, func(t *testing.T) { reads(t, r, big, want) })
		}
		t.Run("no files", func(t *testing.T) { readsNothing(t, all[source.ReadSQL], "sock", "fifo", "empty") })
		t.Run("connections lost", func(t *testing.T) { loses(t, srv, all[source.ReadSQL], len(sql), big, want) })
	})
}

// foreign is a name that has no form in the encoding that the readers of these tests ask for.
const foreign = "100 € für Ωmega"

// loses ends the SQL reader's connections, idle and in the middle of an answer: the reader goes on with fresh ones, and gives each range once.
func loses(t *testing.T, srv *testenv.Server, r source.Reader, files int, path string, want []byte) {
	kill := func() {
		srv.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + pooled + "'")
	}
	kill()
	if n := len(list(t, r)); n < files {
		t.Errorf("%d entries are listed, want %d", n, files)
	}
	kill()
	h, err := r.Open(t.Context(), messages.TreeLocal, path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 2 { // both connections
		got := make([]byte, len(want))
		if n, err := h.ReadAt(got, 0); n != len(want) || !bytes.Equal(got, want) {
			t.Errorf("%d bytes (%v), want %d", n, err, len(want))
		}
	}
	// An answer that is larger than what sockets hold.
	ranges := make([]source.Range, 64)
	for i := range ranges {
		ranges[i] = source.Range{Path: path, Offset: int64(i), Length: 1 << 20}
	}
	next := 0
	err = r.(source.Batcher).ReadRanges(t.Context(), ranges, func(i int, data []byte) error {
		if i != next || !bytes.Equal(data, want[i:i+1<<20]) {
			t.Errorf("range %d with %d bytes came, want range %d", i, len(data), next)
		}
		next++
		if i == 1 {
			kill()
		}
		return nil
	})
	if err != nil || next != len(ranges) {
		t.Errorf("%d of %d ranges came: %v", next, len(ranges), err)
	}
}

// readsNothing reads by SQL what has no bytes: nothing that the server would wait for in opening it.
func readsNothing(t *testing.T, r source.Reader, names ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ranges := make([]source.Range, len(names))
	for i, n := range names {
		ranges[i] = source.Range{Tree: messages.TreeLocal, Path: n, Length: 8192}
	}
	seen := 0
	err := r.(source.Batcher).ReadRanges(ctx, ranges, func(i int, data []byte) error {
		if seen++; data == nil || len(data) > 0 {
			t.Errorf("%s: %q, want no bytes of a file that is there", names[i], data)
		}
		return nil
	})
	if err != nil || seen != len(names) {
		t.Errorf("%d of %d answers, %v", seen, len(names), err)
	}
}

// reads holds a reader to the contract of Handle.
func reads(t *testing.T, r source.Reader, path string, want []byte) {
	ctx := context.Background()
	h, err := r.Open(ctx, messages.TreeLocal, path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	got := make([]byte, len(want)+10)
	n, err := h.ReadAt(got, 0)
	if n != len(want) || err != io.EOF || string(got[:n]) != string(want) {
		t.Errorf("%d bytes (%v), want %d and io.EOF", n, err, len(want))
	}
	if n, err := h.ReadAt(got[:8192], 8192); n != 8192 || err != nil && err != io.EOF || string(got[:n]) != string(want[8192:16384]) {
		t.Errorf("second page: %d bytes (%v)", n, err)
	}
	if n, err := h.ReadAt(got[:10], int64(len(want))); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d bytes (%v)", n, err)
	}
	g, err := r.Open(ctx, messages.TreeLocal, "base/1/999999")
	if err == nil {
		_, err = g.ReadAt(got[:1], 0)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want fs.ErrNotExist", err)
	}
	b, ok := r.(source.Batcher)
	if !ok {
		return
	}
	ranges := []source.Range{{Path: path, Offset: 10, Length: 100}, {Path: "base/1/999999", Length: 5}, {Path: "empty", Length: 1}, {Path: path, Offset: int64(len(want)) - 5, Length: 10}}
	var lens []int
	err = b.ReadRanges(ctx, ranges, func(_ int, data []byte) error {
		if data == nil {
			lens = append(lens, -1)
			return nil
		}
		lens = append(lens, len(data))
		return nil
	})
	if err != nil || !slices.Equal(lens, []int{100, -1, 0, 5}) {
		t.Errorf("ranges have %v bytes (%v), want 100, vanished, 0, 5", lens, err)
	}
}
