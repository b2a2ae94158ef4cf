package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

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
	// PFS says how the source's PBD is mounted (pfs). What it leaves empty of Cluster and Disk is what the server says; it is read-only always.
	PFS pfs.MountOptions
	// Connect opens an ordinary connection: for reading (sql), and for what the server leaves out by its settings (all).
	Connect func(ctx context.Context) (*pgconn.PgConn, error)
	// Connections is how many connections read at once (sql).
	Connections int
	Logger      *slog.Logger
}

// Open opens the source of a backup.
func (o Options) Open(ctx context.Context, p *messages.Prepared) (Reader, error) {
	rules, err := o.rules(ctx, p)
	if err != nil {
		return nil, err
	}
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
		f, err := o.mount(ctx, p.Polar)
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

// mount attaches the source's PBD for reading.
func (o Options) mount(ctx context.Context, p *messages.Polar) (pfs.FS, error) {
	if p == nil || !p.SharedStorage || p.DiskName == "" || strings.HasPrefix(p.DataDir, "file") {
		return nil, errors.New("the source is not on PFS: read it by path, or by SQL")
	}
	m := o.PFS
	m.ReadOnly, m.Logger = true, o.Logger
	m.Disk, m.Cluster = cmp.Or(m.Disk, p.DiskName), cmp.Or(m.Cluster, p.Cluster)
	if m.HostID == 0 {
		return nil, fmt.Errorf("reading the source's disk \"%s\" on PFS needs a host id for mounting it, which no node has that uses the disk: give one with --polar_host_id", m.Disk)
	}
	if m.HostID == p.HostID {
		return nil, fmt.Errorf("the host id %d is the server's own (polar_hostid): give --polar_host_id another one to read its disk \"%s\"", m.HostID, m.Disk)
	}
	return pfs.Mount(ctx, m)
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
