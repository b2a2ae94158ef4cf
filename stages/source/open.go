package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
)

// The three ways of reading, as people name them.
const (
	ReadPath = "path"
	ReadPFS  = "pfs"
	ReadSQL  = "sql"
)

// Options say how one host reads a source.
type Options struct {
	// Read is ReadPath, ReadPFS or ReadSQL.
	Read string
	// Dir is the data directory on this host (path and pfs).
	Dir string
	// Shared is PolarDB's shared data directory: on this host (path), on PFS (pfs), or as the server names it (sql, "" asks it).
	Shared string
	// Mount attaches the PBD read-only (pfs).
	Mount func(ctx context.Context) (pfs.FS, error)
	// Connect opens an ordinary connection (sql).
	Connect func(ctx context.Context) (*pgconn.PgConn, error)
	// Connections is how many connections read at once (sql).
	Connections int
	// LogDirectory is the server's log_directory when it is relative; PolarDB 11 leaves it out.
	LogDirectory string
	Logger       *slog.Logger
}

// Open opens the source of a backup.
func (o Options) Open(ctx context.Context, p *messages.Prepared) (Reader, error) {
	rules := NewRules(postgres.ExcludeOptions{ServerVersion: p.ServerVersion, Polar: p.Polar != nil, LogDirectory: o.LogDirectory})
	shared := ""
	if p.Polar != nil && p.Polar.SharedStorage {
		if shared = o.Shared; shared == "" {
			shared = PlainDir(p.Polar.DataDir)
		}
		if shared == "" {
			return nil, errors.New("the source keeps its data on shared storage, and where that is mounted here is not known")
		}
	}
	switch o.Read {
	case ReadPath:
		return NewPath(PathConfig{Dir: o.Dir, Shared: shared, Rules: rules, Logger: o.Logger})
	case ReadPFS:
		if shared == "" {
			return nil, errors.New("the source is not on PFS: read it by path, or by SQL")
		}
		f, err := o.Mount(ctx)
		if err != nil {
			return nil, err
		}
		r, err := NewPFS(PFSConfig{Local: PathConfig{Dir: o.Dir, Rules: rules, Logger: o.Logger}, FS: f, Dir: shared})
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return r, nil
	case ReadSQL:
		if p.Polar != nil && p.Polar.SharedStorage && p.Polar.DiskName != "" && !strings.HasPrefix(p.Polar.DataDir, "file") {
			return nil, errors.New("the source keeps its data on PFS, which the server's SQL functions cannot read: read it through PFS, or use the stream source")
		}
		return NewSQL(ctx, SQLConfig{Connect: o.Connect, Connections: o.Connections, Shared: shared, Rules: rules})
	}
	return nil, fmt.Errorf("unknown way of reading \"%s\": it is \"%s\", \"%s\" or \"%s\"", o.Read, ReadPath, ReadPFS, ReadSQL)
}

// PlainDir returns the path in polar_datadir when that is a directory of an ordinary file system, and all of it when it has no scheme.
func PlainDir(dataDir string) string {
	scheme, path, ok := strings.Cut(dataDir, "://")
	if !ok {
		return strings.TrimRight(dataDir, "/")
	}
	if strings.HasPrefix(scheme, "file") || scheme == "pfsd" {
		return strings.TrimRight(path, "/")
	}
	return ""
}
