package dropin

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/time/rate"

	"polarcast/internal/postgres"
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
	c, err := r.waysToRead(ctx)
	if err != nil && !forced {
		r.o.UI.Verbose("reading by base backup protocol: %s", err)
		return nil
	}
	if err != nil {
		return err
	}
	q.Source, q.Read, r.sourceDir = "files", c.Read, c.Dir
	r.o.UI.Verbose("reading files by %s: %s", c.Read, c.Why)
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

// waysToRead returns the best way to read files; an error says why there is none.
func (r *backup) waysToRead(ctx context.Context) (checkpoint.Choice, error) {
	o := &r.o.Files
	if p, d := r.prepared.Polar, r.o.Disk; o.Read == source.ReadPFS && p != nil && d != "" && d != p.DiskName {
		return checkpoint.Choice{}, fmt.Errorf("--read=pfs mounts the server's disk \"%s\", and one process can mount one disk: to copy from it to disk \"%s\" use \"polarcast send\" and \"polarcast receive\", or leave out --read=pfs",
			p.DiskName, d)
	}
	return checkpoint.ChooseFiles(ctx, &r.prepared, checkpoint.Wish{Files: o.Kind == "files", Read: o.Read,
		Open: source.Options{Connect: o.ConnectSQL, PFS: o.PFS, Logger: r.o.Logger}})
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
		jobs = defaultJobs(st.Requested.Read, runtime.GOMAXPROCS(0))
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
		r.sourceDir, err = checkpoint.LocalDir(ctx, conn, &r.prepared)
		postgres.CloseSQL(conn)
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

// defaultJobs is how many workers read when nobody says. By path one keeps up with a writer, which has the same processors and the same disk: two on two
// processors take a fifth longer than one.
func defaultJobs(read string, processors int) int {
	if read == source.ReadPath {
		processors = max(processors/2, 1)
	}
	return min(processors, 4)
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
