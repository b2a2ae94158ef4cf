package dropin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/time/rate"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/checkpoint"
	"polarcast/stages/source"
	"polarcast/stages/tablespace"
)

// SourceOptions say how the source's bytes are read.
type SourceOptions struct {
	// Kind is "auto", "stream" or "files"; "" is "stream".
	Kind string
	// Read is how files are read: "path", "pfs" or "sql"; "" chooses.
	Read string
	// Jobs is how many pieces are read at once; 0 is one per processor, at most 4.
	Jobs int
	// ConnectSQL opens an ordinary connection; nil leaves only the stream source.
	ConnectSQL func(ctx context.Context) (*pgconn.PgConn, error)
	// PFS says how the source's PBD is mounted for Read "pfs"; the server says which it is.
	PFS pfs.MountOptions
}

// filesRetries is how many further sessions a run starts when the server ends one. After them its user runs the command again.
const filesRetries = 3

// chooseSource decides where bytes come from, once, before the backup is begun. Its decision is kept in the event log.
func (r *backup) chooseSource(ctx context.Context) error {
	q, o := &r.o.Request, &r.o.Files
	q.Source, q.Read = "stream", ""
	if o.Kind == "stream" || o.Kind == "" || r.o.ServerTarget {
		return nil
	}
	forced := o.Kind == "files"
	if why := r.streamOnly(); why != "" {
		if forced {
			return fmt.Errorf("the files source cannot be used with %s: leave out --source=files", why)
		}
		return nil
	}
	read, dir, why, err := r.waysToRead(ctx)
	if err != nil && !forced {
		r.o.UI.Verbose("reading by base backup protocol: %s", err)
		return nil
	}
	if err != nil {
		return err
	}
	q.Source, q.Read, r.sourceDir = "files", read, dir
	r.o.UI.Verbose("reading files by %s: %s", read, why)
	return nil
}

// streamOnly names what only BASE_BACKUP can do.
func (r *backup) streamOnly() string {
	q := &r.o.Request
	switch {
	case r.o.Files.ConnectSQL == nil:
		return "this connection"
	case q.Options.Tar && r.o.Files.Kind != "files":
		return "the tar format" // one reader only, so there is nothing to gain
	case q.Options.Tar && r.stdout():
		return "standard output"
	case q.WALMethod == "fetch":
		return "--wal-method=fetch"
	case q.Options.IncrementalManifest:
		return "--incremental"
	case q.Options.Local != "":
		return "--local=" + q.Options.Local
	case q.Options.NoShared:
		return "--node=replica"
	case q.Options.ServerCompression != "":
		return "server-side compression"
	}
	return ""
}

// waysToRead returns the best way to read files, with the reason; an error says why there is none. Without a wish only path is chosen: by SQL a byte
// costs the server about twice what it costs by the base backup protocol.
func (r *backup) waysToRead(ctx context.Context) (read, dir, why string, err error) {
	o := &r.o.Files
	conn, err := o.ConnectSQL(ctx)
	if err != nil {
		return "", "", "", fmt.Errorf("no ordinary connection for backup mode: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := checkpoint.MayHoldBackupMode(ctx, conn, r.prepared.ServerVersion); err != nil {
		return "", "", "", err
	}
	if o.Read == "" || o.Read == source.ReadPath || o.Read == source.ReadPFS {
		dir, err = localDir(ctx, conn)
		if err == nil {
			if o.Read == "" || o.Read == source.ReadPath {
				err = r.sharedHere()
			}
		}
		switch {
		case err == nil && o.Read == source.ReadPFS:
			if err = r.sharedOnPFS(ctx, dir); err != nil {
				return "", "", "", err
			}
			return source.ReadPFS, dir, "as it was asked for", nil
		case err == nil:
			return source.ReadPath, dir, fmt.Sprintf("the server's data directory \"%s\" is on this host", dir), nil
		case o.Read != "":
			return "", "", "", err
		}
	}
	if o.Read == source.ReadSQL || o.Kind == "files" {
		if e := source.MayRead(ctx, conn); e != nil {
			return "", "", "", errors.Join(err, e)
		}
		return source.ReadSQL, "", "the data directory is not readable on this host", nil
	}
	return "", "", "", err
}

// sharedHere checks that PolarDB's shared tree can be read by path.
func (r *backup) sharedHere() error {
	p := r.prepared.Polar
	if p == nil || !p.SharedStorage {
		return nil
	}
	dir := source.PlainDir(p.DataDir)
	if strings.HasPrefix(p.DataDir, "file") && dir != "" {
		if f, err := os.Open(filepath.Join(dir, source.ControlFile)); err == nil {
			return f.Close()
		}
	}
	return fmt.Errorf("the server's shared data directory \"%s\" is not on this host", p.DataDir)
}

// sharedOnPFS reads nothing yet: it mounts the source's disk for a moment, so that what stands in the way is told before anything is written.
func (r *backup) sharedOnPFS(ctx context.Context, dir string) error {
	if p, d := r.prepared.Polar, r.o.Disk; p != nil && d != "" && d != p.DiskName {
		return fmt.Errorf("--read=pfs mounts the server's disk \"%s\", and one process can mount one disk: to copy from it to disk \"%s\" use \"polarcast send\" and \"polarcast receive\", or leave out --read=pfs",
			p.DiskName, d)
	}
	src, err := source.Options{Read: source.ReadPFS, Dir: dir, PFS: r.o.Files.PFS, Logger: r.o.Logger}.Open(ctx, &r.prepared)
	if err != nil {
		return err
	}
	return src.Close()
}

// localDir returns the server's data directory when it is on this host and this process may read it. That it is the running server's, and not that of
// another one at the same place on another host, is told by the postmaster's start time.
func localDir(ctx context.Context, conn *pgconn.PgConn) (string, error) {
	res := conn.ExecParams(ctx, `SELECT pg_catalog.current_setting('data_directory'),
		pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()))::int8, pg_catalog.current_setting('port')`, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return "", fmt.Errorf("the place of the data directory is not known: %w", res.Err)
	}
	row := res.Rows[0]
	dir := string(row[0])
	pid, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return "", fmt.Errorf("the server's data directory \"%s\" is not readable on this host", dir)
	}
	lines := strings.Split(string(pid), "\n")
	if len(lines) < 4 || strings.TrimSpace(lines[3]) != string(row[2]) || !sameStart(strings.TrimSpace(lines[2]), string(row[1])) {
		return "", fmt.Errorf("directory \"%s\" on this host is not the one of the server", dir)
	}
	f, err := os.Open(filepath.Join(dir, "base"))
	if err != nil {
		return "", fmt.Errorf("the server's data directory \"%s\" is not readable on this host", dir)
	}
	f.Close()
	return dir, nil
}

// sameStart compares two start times in seconds: the file is written a moment before the time that SQL tells is taken.
func sameStart(a, b string) bool {
	x, err1 := strconv.ParseInt(a, 10, 64)
	y, err2 := strconv.ParseInt(b, 10, 64)
	return err1 == nil && err2 == nil && x-y <= 5 && y-x <= 5
}

// filesStages replaces the stages of the stream source when the backup is read by files.
func (r *backup) filesStages(ctx context.Context, parts map[string]interface{ Run(context.Context) error }) error {
	st, err := r.env.Log().State(ctx)
	if err != nil {
		return err
	}
	if st.Requested == nil || st.Requested.Source != "files" {
		return nil
	}
	o := &r.o.Files
	if o.ConnectSQL == nil {
		return errors.New("the backup was begun by reading files, which needs an ordinary connection: repeat the command that began it, or add --no-resume to start over")
	}
	jobs, retries := o.Jobs, filesRetries
	if jobs == 0 {
		jobs = min(runtime.GOMAXPROCS(0), 4)
	}
	tar := r.o.Tar != nil
	if tar {
		jobs, retries = 1, 0 // an archive is written from front to back, and takes nothing back
	}
	if r.sourceDir == "" && st.Requested.Read != source.ReadSQL {
		conn, err := o.ConnectSQL(ctx)
		if err != nil {
			return err
		}
		r.sourceDir, err = localDir(ctx, conn)
		conn.Close(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
	}
	src := source.Options{Read: st.Requested.Read, Dir: r.sourceDir, PFS: o.PFS, Connect: o.ConnectSQL, Connections: jobs, Logger: r.o.Logger}
	open := func(ctx context.Context, st pipeline.State) (source.Reader, error) { return src.Open(ctx, st.Prepared) }
	spill := r.storeDir
	if len(r.o.NATS.URLs) > 0 {
		spill = ""
	}
	parts["checkpoint"] = checkpoint.NewFiles(checkpoint.FilesConfig{Config: checkpoint.Config{Env: r.env, Connect: r.o.Connect}, ConnectSQL: o.ConnectSQL,
		Open: open, Retries: retries, SpillDir: spill})
	parts["tablespace"] = tablespace.NewFiles(tablespace.FilesConfig{Env: r.env, Open: open, Jobs: jobs, Strict: tar, SpillDir: spill,
		Throttle: throttle(st.Requested.Options), OnDamaged: r.damage.found})
	return nil
}

// throttle keeps --max-rate, which the server keeps for the stream source.
func throttle(o messages.BackupOptions) func(context.Context, int) error {
	if o.MaxRate <= 0 {
		return nil
	}
	l := rate.NewLimiter(rate.Limit(o.MaxRate)*1024, 1<<20)
	return func(ctx context.Context, n int) error {
		for n > 0 {
			k := min(n, 1<<20)
			if err := l.WaitN(ctx, k); err != nil {
				return err
			}
			n -= k
		}
		return nil
	}
}
