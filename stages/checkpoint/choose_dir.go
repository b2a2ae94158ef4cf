package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/source"
)

// LocalDir returns the server's data directory when it is on this host and this process may read it. Another server may have its own at the same place here, above
// all in a container: what is running in the directory is compared with what answers on the connection.
func LocalDir(ctx context.Context, conn *pgconn.PgConn, p *messages.Prepared) (string, error) {
	rows, err := query(ctx, conn, "SELECT pg_catalog.current_setting('data_directory')")
	if err != nil {
		return "", fmt.Errorf("the place of the data directory is not known: %w", err)
	}
	dir := string(rows[0][0])
	if err := runsIn(ctx, conn, dir); err != nil {
		return "", err
	}
	// PolarDB's control file is in the shared tree, and one in the local tree may be old.
	if source.ControlTree(p) == messages.TreeLocal {
		if err := controlsIn(ctx, conn, dir); err != nil {
			return "", err
		}
	}
	f, err := os.Open(filepath.Join(dir, "base"))
	if err != nil {
		return "", fmt.Errorf("the server's data directory \"%s\" is not readable on this host", dir)
	}
	f.Close()
	return dir, nil
}

// errNotServers says that dir is another server's.
func errNotServers(dir string) error {
	return fmt.Errorf("directory \"%s\" on this host is not the one of the server", dir)
}

// runsIn compares port and start time in postmaster.pid with the server's; the connection's backend may be a child of the process of the file instead.
func runsIn(ctx context.Context, conn *pgconn.PgConn, dir string) error {
	rows, err := query(ctx, conn, `SELECT pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()))::int8, pg_catalog.current_setting('port'), pg_catalog.pg_backend_pid()`)
	if err != nil {
		return fmt.Errorf("the start time of the server is not known: %w", err)
	}
	pid, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("the server's data directory \"%s\" is not readable on this host", dir)
	}
	lines := strings.Split(string(pid), "\n")
	if len(lines) < 4 || strings.TrimSpace(lines[3]) != string(rows[0][1]) ||
		!sameStart(strings.TrimSpace(lines[2]), string(rows[0][0])) && !childOf(string(rows[0][2]), strings.TrimSpace(lines[0])) {
		return errNotServers(dir)
	}
	return nil
}

// childOf reports whether a process of this host is a child of another one. The time that SQL tells can be many seconds after the one in the file: a server
// takes it when it has attached its memory and, in PolarDB, its disk.
func childOf(pid, parent string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	// "PID (NAME) STATE PPID …", where NAME may hold anything (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return len(fields) > 1 && fields[1] == parent
}

// sameStart compares two start times in seconds: the file is written a moment before the time that SQL tells is taken.
func sameStart(a, b string) bool {
	x, err1 := strconv.ParseInt(a, 10, 64)
	y, err2 := strconv.ParseInt(b, 10, 64)
	return err1 == nil && err2 == nil && x-y <= 5 && y-x <= 5
}

// Looks at the two control files, and the pause between them: a checkpoint may come between a look at one and at the other.
const (
	controlLooks = 5
	controlPause = 100 * time.Millisecond
)

// controlsIn compares the control file in dir with what the server says of its own. Servers that one command started have the same start time and port, and one
// that was cloned from the other has its system identifier too: the last checkpoint, when the file was written, and whether it is a standby tell them apart.
func controlsIn(ctx context.Context, conn *pgconn.PgConn, dir string) error {
	for look := range controlLooks {
		if look > 0 {
			if err := pause(ctx, controlPause); err != nil {
				return err
			}
		}
		b, err := os.ReadFile(filepath.Join(dir, source.ControlFile))
		if err != nil {
			return fmt.Errorf("the server's data directory \"%s\" is not readable on this host", dir)
		}
		c, err := postgres.ParseControl(b)
		if errors.Is(err, postgres.ErrControlChecksum) {
			continue // it is being written
		}
		if err != nil {
			return fmt.Errorf("file \"%s\": %w", filepath.Join(dir, source.ControlFile), err)
		}
		rows, err := query(ctx, conn, `SELECT s.system_identifier, pg_catalog.date_part('epoch', s.pg_control_last_modified)::int8, c.checkpoint_lsn, pg_catalog.pg_is_in_recovery()
			FROM pg_catalog.pg_control_system() AS s, pg_catalog.pg_control_checkpoint() AS c`)
		if err != nil {
			return fmt.Errorf("the server's control file is not known: %w", err)
		}
		r := rows[0]
		if string(r[0]) != strconv.FormatUint(c.SystemID, 10) {
			return errNotServers(dir)
		}
		at, err := postgres.ParseLSN(string(r[2]))
		if err != nil {
			return err
		}
		standby := c.State != postgres.DBInProduction
		if string(r[1]) == strconv.FormatInt(c.Time.Unix(), 10) && at == c.Checkpoint && (string(r[3]) == "t") == standby {
			return nil
		}
	}
	return errNotServers(dir)
}
