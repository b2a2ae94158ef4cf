package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/messages"
	"polarcast/stages/source"
)

// Wish says how a source is to be read, as a person asked for it.
type Wish struct {
	// Files insists on reading files, by whichever way; else only the way that costs the server least is taken.
	Files bool
	// Read is the way of reading files, "" for the best.
	Read string
	// Open says how this host would read; Dir and Read are filled in.
	Open source.Options
}

// Choice is a way of reading files.
type Choice struct {
	Read string // source.ReadPath, source.ReadPFS or source.ReadSQL
	Dir  string // the data directory on this host, but for source.ReadSQL
	Why  string // for people
}

// ChooseFiles returns the best way of reading a server's files from this host. An error says why there is none. Unless files were insisted on only
// path is chosen: by SQL a byte costs the server about twice what it costs by the base backup protocol.
func ChooseFiles(ctx context.Context, p *messages.Prepared, w Wish) (Choice, error) {
	conn, err := w.Open.Connect(ctx)
	if err != nil {
		return Choice{}, fmt.Errorf("no ordinary connection for backup mode: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := MayHoldBackupMode(ctx, conn, p.ServerVersion); err != nil {
		return Choice{}, err
	}
	var notHere error
	if w.Read != source.ReadSQL {
		dir, err := LocalDir(ctx, conn)
		if err == nil && w.Read != source.ReadPFS {
			err = sharedHere(p)
		}
		switch {
		case err == nil && w.Read == source.ReadPFS:
			// Mounted for a moment, so that what stands in the way is told before anything is written.
			o := w.Open
			o.Read, o.Dir = source.ReadPFS, dir
			src, err := o.Open(ctx, p)
			if err != nil {
				return Choice{}, err
			}
			return Choice{Read: source.ReadPFS, Dir: dir, Why: "as it was asked for"}, src.Close()
		case err == nil:
			return Choice{Read: source.ReadPath, Dir: dir, Why: fmt.Sprintf("the server's data directory \"%s\" is on this host", dir)}, nil
		case w.Read != "" || !w.Files:
			return Choice{}, err
		}
		notHere = err
	}
	if err := source.MayRead(ctx, conn); err != nil {
		return Choice{}, errors.Join(notHere, err)
	}
	why := "the data directory is not readable on this host"
	if w.Read == source.ReadSQL {
		why = "as it was asked for"
	}
	return Choice{Read: source.ReadSQL, Why: why}, nil
}

// sharedHere checks that PolarDB's shared tree can be read by path.
func sharedHere(p *messages.Prepared) error {
	if p.Polar == nil || !p.Polar.SharedStorage {
		return nil
	}
	dir := source.PlainDir(p.Polar.DataDir)
	if strings.HasPrefix(p.Polar.DataDir, "file") && dir != "" {
		if f, err := os.Open(filepath.Join(dir, source.ControlFile)); err == nil {
			return f.Close()
		}
	}
	return fmt.Errorf("the server's shared data directory \"%s\" is not on this host", p.Polar.DataDir)
}

// LocalDir returns the server's data directory when it is on this host and this process may read it. That it is the running server's, and not that of
// another one at the same place on another host, is told by the postmaster's start time, or by its being the parent of this connection's backend.
func LocalDir(ctx context.Context, conn *pgconn.PgConn) (string, error) {
	res := conn.ExecParams(ctx, `SELECT pg_catalog.current_setting('data_directory'),
		pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()))::int8, pg_catalog.current_setting('port'),
		pg_catalog.pg_backend_pid()`, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return "", fmt.Errorf("the place of the data directory is not known: %w", res.Err)
	}
	if len(res.Rows) != 1 {
		return "", errors.New("the server did not say where its data directory is")
	}
	row := res.Rows[0]
	dir := string(row[0])
	pid, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return "", fmt.Errorf("the server's data directory \"%s\" is not readable on this host", dir)
	}
	lines := strings.Split(string(pid), "\n")
	if len(lines) < 4 || strings.TrimSpace(lines[3]) != string(row[2]) ||
		!sameStart(strings.TrimSpace(lines[2]), string(row[1])) && !childOf(string(row[3]), strings.TrimSpace(lines[0])) {
		return "", fmt.Errorf("directory \"%s\" on this host is not the one of the server", dir)
	}
	f, err := os.Open(filepath.Join(dir, "base"))
	if err != nil {
		return "", fmt.Errorf("the server's data directory \"%s\" is not readable on this host", dir)
	}
	f.Close()
	return dir, nil
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
