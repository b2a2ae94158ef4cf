package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/pfs"
)

// streamTimeout bounds the wait for a node that accepts connections to be seen by its source.
const streamTimeout = 2 * time.Minute

// waitStreaming returns when the source sees the node stream. Where the source cannot be asked the node's own log tells.
func (r *starter) waitStreaming(ctx context.Context, version int) error {
	var conn *pgconn.PgConn
	var noSQL error
	if r.s.SQL != nil {
		if conn, noSQL = r.s.SQL(ctx); noSQL == nil {
			defer postgres.CloseSQL(conn)
		}
	}
	name := r.s.appName(version, r.l.Dir())
	return r.until(ctx, streamTimeout, "stream from its source", func() (bool, error) {
		if conn != nil {
			return seen(ctx, conn, name)
		}
		return strings.Contains(r.tail(64<<10), "started streaming WAL from primary"), noSQL
	})
}

// seen asks the source. A role without pg_read_all_stats sees the connection of its own role and no state.
func seen(ctx context.Context, conn *pgconn.PgConn, name string) (bool, error) {
	res := conn.ExecParams(ctx, "SELECT state FROM pg_catalog.pg_stat_replication WHERE application_name = $1", [][]byte{[]byte(name)}, nil, nil, nil).Read()
	if res.Err != nil {
		return false, res.Err
	}
	err := fmt.Errorf("the source sees no connection of \"%s\"", name)
	for _, row := range res.Rows {
		if row[0] == nil || string(row[0]) == "streaming" {
			return true, nil
		}
		err = fmt.Errorf("the source sees \"%s\" in state %s", name, row[0])
	}
	return false, err
}

// appName is the application_name by which the source knows the node.
func (s *Settings) appName(version int, dir string) string {
	conninfo, ok := s.value("primary_conninfo")
	if !ok && s.ConnInfo != nil {
		conninfo = s.ConnInfo(version)
	}
	if _, rest, ok := strings.Cut(conninfo, "application_name="); ok {
		rest = strings.TrimPrefix(rest, "'")
		if i := strings.IndexAny(rest, "' "); i >= 0 {
			rest = rest[:i]
		}
		return rest
	}
	return s.name(dir)
}

// saidLines is how many lines of the node's log an error quotes.
const saidLines = 15

// said are the last lines of the node's log, for an error.
func (r *starter) said() string {
	text := strings.TrimSpace(r.tail(16 << 10))
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return "; its log ends with:\n" + strings.Join(lines[max(0, len(lines)-saidLines):], "\n")
}

// tail is what the node has written since this start: to pg_ctl's log and, when it collects its log, to the newest file of that.
func (r *starter) tail(limit int64) string {
	text := tailOf(filepath.Join(r.l.Dir(), startLog), r.log, limit)
	newest, at := "", r.at
	for _, dir := range []string{"log", "pg_log"} {
		entries, _ := os.ReadDir(filepath.Join(r.l.Dir(), dir))
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 && !info.ModTime().Before(at) {
				newest, at = filepath.Join(r.l.Dir(), dir, e.Name()), info.ModTime()
			}
		}
	}
	if newest != "" {
		text += "\n" + tailOf(newest, 0, limit)
	}
	return text
}

func tailOf(name string, from, limit int64) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		from = max(from, st.Size()-limit)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, from, limit))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(b)
}

// maxControl is larger than any control file, in bytes.
const maxControl = 64 << 10

// readControl reads the control file of a tree.
func readControl(f pfs.FS, dir string) (*postgres.Control, error) {
	file, err := f.Open(dir+"/global/pg_control", os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := make([]byte, maxControl)
	n, err := file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return postgres.ParseControl(b[:n])
}
