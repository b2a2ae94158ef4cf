package tablespace

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
)

// countTimeout bounds the counting of the shared tree: a backup does not wait long for what it only uses for a check.
const countTimeout = 10 * time.Second

// sharedCount counts what a backup takes of a PolarDB's shared tree: names, and blocks of 4 MiB, PFS's unit of allocation. The server's functions
// for directories work on PFS, in contrast to those that read files. Preallocated pages are zeros and take no space in a copy.
const sharedCount = `WITH RECURSIVE t(path, isdir, size) AS (
	SELECT $1::text, true, 0::int8
	UNION ALL
	SELECT t.path || '/' || f, s.isdir, s.size
	FROM t, LATERAL pg_catalog.pg_ls_dir(t.path, true, false) AS f, LATERAL pg_catalog.pg_stat_file(t.path || '/' || f, true) AS s
	WHERE t.isdir AND t.path !~ '/(pg_wal|pg_replslot|pg_logindex|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_subtrans|pg_stat_tmp)$')
SELECT pg_catalog.count(*), pg_catalog.sum(CASE WHEN isdir OR path ~ '/polar_fullpage/[^/]*\.fp$' THEN 0 ELSE (size + 4194303) / 4194304 END)::int8
FROM t WHERE isdir IS NOT NULL`

// countShared adds to the shared tree how many files it has. A role that may not list directories, and a server that is slow at it, leave it out.
func (s *Stage) countShared(ctx context.Context, st pipeline.State, spaces []messages.Tablespace) {
	if s.cfg.ConnectSQL == nil || !st.Requested.Options.EstimateSize || st.Prepared.Polar == nil {
		return
	}
	dir, _ := pfs.StripScheme(st.Prepared.Polar.DataDir)
	for i := range spaces {
		if !spaces[i].Shared || spaces[i].OID != 0 {
			continue
		}
		files, blocks, err := s.queryCount(ctx, strings.TrimRight(dir, "/"))
		if err != nil {
			s.cfg.Logger.Debug("the files of the shared tree are not counted", "error", err)
			return
		}
		spaces[i].Files, spaces[i].Blocks = files, blocks
	}
}

func (s *Stage) queryCount(ctx context.Context, dir string) (files, blocks int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	conn, err := s.cfg.ConnectSQL(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer postgres.CloseSQL(conn)
	return countFiles(ctx, conn, dir)
}

func countFiles(ctx context.Context, conn *pgconn.PgConn, dir string) (files, blocks int64, err error) {
	res := conn.ExecParams(ctx, sharedCount, [][]byte{[]byte(dir)}, nil, nil, nil).Read()
	if res.Err != nil {
		return 0, 0, res.Err
	}
	if files, err = strconv.ParseInt(string(res.Rows[0][0]), 10, 64); err == nil {
		blocks, err = strconv.ParseInt(string(res.Rows[0][1]), 10, 64)
	}
	return files, blocks, err
}
