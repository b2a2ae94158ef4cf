package source

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// SQLConfig says how files are read over connections to the server.
type SQLConfig struct {
	// Connect opens an ordinary connection (not for replication). It is called when one is needed, also in place of one that was lost.
	Connect func(ctx context.Context) (*pgconn.PgConn, error)
	// Connections is how many are used at once; 0 means 1. A server that has no room for so many is read over those that it takes.
	Connections int
	// Shared is PolarDB's shared data directory as the server's own file functions name it: an absolute path without scheme. "" when there
	// is none. The role needs pg_read_server_files for it.
	Shared string
	Rules  Rules
}

// sqlReader reads files with the server's own functions, as pg_rewind does (src/bin/pg_rewind/libpq_source.c).
type sqlReader struct {
	cfg  SQLConfig
	idle chan *pgconn.PgConn // connections that nobody uses
	room chan struct{}       // one element for each connection that was not opened yet, or was lost

	mu     sync.Mutex
	server string // StartedAt of the server that is read, "" while it is not known
}

var (
	_ Reader  = (*sqlReader)(nil)
	_ Batcher = (*sqlReader)(nil)
)

// NewSQL returns a reader over connections. The first is opened at once, to find out whether the role may read files.
func NewSQL(ctx context.Context, cfg SQLConfig) (Reader, error) {
	cfg.Connections = max(cfg.Connections, 1)
	r := &sqlReader{cfg: cfg, idle: make(chan *pgconn.PgConn, cfg.Connections), room: make(chan struct{}, cfg.Connections)}
	for range cfg.Connections {
		r.room <- struct{}{}
	}
	err := r.with(ctx, func(c *pgconn.PgConn) error { return MayRead(ctx, c) })
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// readFunctions are what the reader calls.
var readFunctions = []string{
	"pg_ls_dir(text,boolean,boolean)",
	"pg_stat_file(text,boolean)",
	"pg_read_binary_file(text,bigint,bigint,boolean)",
}

// MayRead returns nil when the connection's role may execute what this reader needs, else an error that names what has to be granted.
func MayRead(ctx context.Context, c *pgconn.PgConn) error {
	var missing []string
	for _, f := range readFunctions {
		ok, err := value(ctx, c, "SELECT pg_catalog.has_function_privilege('pg_catalog."+f+"', 'EXECUTE')")
		if err != nil {
			return err
		}
		if ok != "t" {
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	user, err := value(ctx, c, "SELECT pg_catalog.quote_ident(current_user)")
	if err != nil {
		return err
	}
	return fmt.Errorf("role %s may not read the server's files; have a superuser run, in this database: GRANT EXECUTE ON FUNCTION %s TO %s",
		user, strings.Join(missing, ", "), user)
}

// value returns the only value of a query, "" for NULL.
func value(ctx context.Context, c *pgconn.PgConn, query string) (string, error) {
	res := c.ExecParams(ctx, query, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return "", res.Err
	}
	if len(res.Rows) != 1 || len(res.Rows[0]) != 1 {
		return "", fmt.Errorf("the server's answer to %q has an unexpected form", query)
	}
	return string(res.Rows[0][0]), nil
}

// place is how the server's functions name a file.
func (r *sqlReader) place(tree messages.Tree, path string) string {
	root := "."
	if tree == messages.TreeShared {
		root = strings.TrimRight(r.cfg.Shared, "/")
	}
	if path == "" {
		return root
	}
	if tree == messages.TreeShared {
		return root + "/" + path
	}
	return path
}

func (r *sqlReader) List(ctx context.Context, fn func(Entry) error) error {
	if err := walk(ctx, r, r.cfg.Rules, messages.TreeLocal, fn); err != nil || r.cfg.Shared == "" {
		return err
	}
	return walk(ctx, r, r.cfg.Rules, messages.TreeShared, fn)
}

func (r *sqlReader) batch() int { return 500 }

// listQuery lists many directories at once. pg_stat_file follows links, so the link of a tablespace is told by its place; what vanished
// between the two functions has NULLs.
const listQuery = `SELECT d.n::int8, f.name::text, s.size, pg_catalog.date_part('epoch', s.modification)::int8, s.isdir,
	CASE WHEN d.dir = 'pg_tblspc' AND f.name OPERATOR(pg_catalog.~) '^[0-9]+$' AND s.isdir
	THEN pg_catalog.pg_tablespace_location(f.name::oid) ELSE '' END::text
FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS d(dir, n),
	LATERAL pg_catalog.pg_ls_dir(d.dir, true, false) AS f(name),
	LATERAL pg_catalog.pg_stat_file(d.dir OPERATOR(pg_catalog.||) '/' OPERATOR(pg_catalog.||) f.name, true) AS s
WHERE s.size IS NOT NULL`

func (r *sqlReader) list(ctx context.Context, tree messages.Tree, dirs []string) ([][]Entry, error) {
	places := make([]string, len(dirs))
	for i, d := range dirs {
		places[i] = r.place(tree, d)
	}
	var out [][]Entry
	err := r.with(ctx, func(c *pgconn.PgConn) error {
		out = make([][]Entry, len(dirs))
		rd := c.ExecParams(ctx, listQuery, [][]byte{textArray(places)}, []uint32{pgtype.TextArrayOID}, []int16{1}, []int16{1})
		for rd.NextRow() {
			v := rd.Values()
			if len(v) != 6 || len(v[0]) != 8 || len(v[2]) != 8 || len(v[3]) != 8 || len(v[4]) != 1 {
				continue
			}
			n := int(int64(binary.BigEndian.Uint64(v[0]))) - 1
			if n < 0 || n >= len(dirs) {
				continue
			}
			e := Entry{Tree: tree, Path: join(dirs[n], string(v[1])), Kind: File, Size: int64(binary.BigEndian.Uint64(v[2])),
				MTime: int64(binary.BigEndian.Uint64(v[3]))}
			if v[4][0] != 0 {
				e.Kind, e.Size = Directory, 0
			}
			if link := string(v[5]); link != "" && !strings.HasPrefix(link, "pg_tblspc/") {
				e.Kind, e.Link = Symlink, link
			}
			out[n] = append(out[n], e)
		}
		_, err := rd.Close()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("could not list the server's files: %w%s", err, remedy(err))
	}
	return out, nil
}

// maxRange is how much one value of an answer holds at most, in bytes: larger ones are slower (facts: 4 MiB was slower than 1 MiB).
const maxRange = 1 << 20

// maxRanges is how many ranges one query reads.
const maxRanges = 256

// readQuery opens nothing that is empty: a FIFO looks like an empty file here, and a backend that opens it waits in the kernel for a writer; a
// socket cannot be opened at all. For what is gone the size is NULL, and so is the answer.
const readQuery = `SELECT CASE WHEN (pg_catalog.pg_stat_file(p, true)).size OPERATOR(pg_catalog.=) 0 THEN ''::bytea
	ELSE pg_catalog.pg_read_binary_file(p, o, l, true) END
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::int8[]), pg_catalog.unnest($3::int8[])) WITH ORDINALITY AS r(p, o, l, n)
ORDER BY n`

func (r *sqlReader) ReadRanges(ctx context.Context, ranges []Range, fn func(i int, data []byte) error) error {
	for at := 0; at < len(ranges); {
		n := min(len(ranges)-at, maxRanges)
		if err := r.readBatch(ctx, ranges[at:at+n], func(i int, data []byte) error { return fn(at+i, data) }); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (r *sqlReader) readBatch(ctx context.Context, ranges []Range, fn func(i int, data []byte) error) error {
	paths, offs, lens := make([]string, len(ranges)), make([]int64, len(ranges)), make([]int64, len(ranges))
	for i, g := range ranges {
		if g.Length > maxRange {
			return fmt.Errorf("a range of %d bytes is longer than the %d that one query answers", g.Length, maxRange)
		}
		paths[i], offs[i], lens[i] = r.place(g.Tree, g.Path), g.Offset, int64(g.Length)
	}
	var failed error // of fn, not of the connection
	i := 0           // the next range
	err := r.with(ctx, func(c *pgconn.PgConn) error {
		if i == len(ranges) {
			return nil // the connection was lost behind the last one
		}
		rd := c.ExecParams(ctx, readQuery, [][]byte{textArray(paths[i:]), int8Array(offs[i:]), int8Array(lens[i:])},
			[]uint32{pgtype.TextArrayOID, pgtype.Int8ArrayOID, pgtype.Int8ArrayOID}, []int16{1, 1, 1}, []int16{1})
		for rd.NextRow() {
			if i < len(ranges) && failed == nil {
				data := rd.Values()[0]
				if len(data) > ranges[i].Length {
					data = data[:ranges[i].Length]
				}
				failed = fn(i, data)
			}
			i++
		}
		_, err := rd.Close()
		if failed != nil {
			return nil // nothing more is wanted
		}
		if err == nil && i != len(ranges) {
			err = fmt.Errorf("the server answered %d of %d ranges", i, len(ranges))
		}
		return err
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		if len(ranges) > 1 { // the server's error names the one
			return fmt.Errorf("could not read %d files of the server: %w%s", len(ranges), err, remedy(err))
		}
		return fmt.Errorf("could not read file \"%s\" of the server: %w%s", ranges[0].Path, err, remedy(err))
	}
	return nil
}

// remedy says what to do about an error of the server's, which names the file.
func remedy(err error) string {
	if postgres.SQLState(err) != "42501" { // insufficient_privilege: of the server's own user too, see errcode_for_file_access
		return ""
	}
	return ": make it readable for the user that the server runs as, or move it out of the data directory (a link that leads out of it is followed by SQL; --source=stream passes over it)"
}

func (r *sqlReader) Close() error {
	for range r.cfg.Connections {
		select {
		case c := <-r.idle:
			postgres.CloseSQL(c)
		case <-r.room:
		}
	}
	return nil
}
