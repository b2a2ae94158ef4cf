package tablespace

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
)

// errNoSkeleton says that the configuration cannot be read by SQL: the base backup protocol is used then, which every replication role may.
var errNoSkeleton = errors.New("the configuration cannot be read by SQL")

// skeletonFiles lists and reads what a local tree cannot be made without. On PolarDB relative names mean the local tree.
const skeletonFiles = `SELECT f, pg_catalog.pg_read_binary_file(f) FROM pg_catalog.pg_ls_dir('.') AS f
	WHERE f = 'PG_VERSION' OR f ~ '\.(conf|crt|key|pem|crl)$' ORDER BY 1`

// confFile is one file of the source's configuration, by its name in the local tree.
type confFile struct {
	name    string
	content []byte
}

// readSkeleton reads the configuration of the source over an ordinary connection.
func (s *Stage) readSkeleton(ctx context.Context) ([]confFile, error) {
	if s.cfg.ConnectSQL == nil {
		return nil, errNoSkeleton
	}
	conn, err := s.cfg.ConnectSQL(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSkeleton, err)
	}
	defer postgres.CloseSQL(conn)
	files, err := queryFiles(ctx, conn, skeletonFiles)
	if err != nil {
		return nil, err
	}
	main := slices.IndexFunc(files, func(f confFile) bool { return f.name == postgres.ConfFileName })
	if main < 0 || !slices.ContainsFunc(files, func(f confFile) bool { return f.name == "PG_VERSION" }) {
		return nil, fmt.Errorf("%w: the server's configuration is not in its data directory", errNoSkeleton)
	}
	for _, inc := range postgres.ParseConf(files[main].content).Includes() {
		more, err := included(ctx, conn, inc)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// included reads what an include directive of postgresql.conf names below the data directory. Absolute names stay what they are: the node's host has
// its own.
func included(ctx context.Context, conn *pgconn.PgConn, inc postgres.ConfInclude) ([]confFile, error) {
	target := path.Clean(inc.Target)
	if path.IsAbs(target) || messages.ValidPath(target) != nil {
		return nil, nil
	}
	if inc.Kind == "include_dir" {
		return queryFiles(ctx, conn, `SELECT $1 || '/' || f, pg_catalog.pg_read_binary_file($1 || '/' || f)
			FROM pg_catalog.pg_ls_dir($1, true, false) AS f WHERE f ~ '\.conf$'`, target)
	}
	return queryFiles(ctx, conn, `SELECT $1::text, b FROM pg_catalog.pg_read_binary_file($1, 0, 16777216, true) AS b WHERE b IS NOT NULL`, target)
}

func queryFiles(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([]confFile, error) {
	var params [][]byte
	for _, a := range args {
		params = append(params, []byte(a))
	}
	res := conn.ExecParams(ctx, sql, params, nil, nil, []int16{1, 1}).Read()
	if res.Err != nil {
		if postgres.IsConnectionLost(res.Err) || ctx.Err() != nil {
			return nil, res.Err
		}
		return nil, fmt.Errorf("%w: %w", errNoSkeleton, res.Err)
	}
	var files []confFile
	for _, row := range res.Rows {
		if name := string(row[0]); messages.ValidPath(name) == nil {
			files = append(files, confFile{name, row[1]})
		}
	}
	return files, nil
}

// skeletonSession is a session in which nothing is backed up: it publishes the configuration and empty directories.
func (s *Stage) skeletonSession(ctx context.Context, st pipeline.State, n uint32, sys postgres.System, files []confFile, prior *feed.Prior) error {
	started := messages.SessionStarted{Session: n, Source: "stream", StartLSN: messages.LSN(sys.XLogPos), Timeline: sys.Timeline}
	if err := s.started(ctx, started); err != nil {
		return err
	}
	codec, level := messages.ParseCodec(st.Requested.Codec)
	fd, err := feed.New(ctx, feed.Config{Client: s.cfg.Client, Backup: s.cfg.Backup, Session: n, Subject: pipeline.SubjectData, Codec: codec, Level: level,
		Workers: 1, Prior: prior, Strict: s.cfg.Strict})
	if err != nil {
		return err
	}
	if err := putSkeleton(fd, newPart(st.Requested.Options), files, prior); err != nil {
		fd.Abort(err)
		return err
	}
	return s.close(ctx, fd, prior, messages.ReadDone{Session: n, EndLSN: started.StartLSN, EndTimeline: started.Timeline})
}

func putSkeleton(fd *feed.Feed, p part, files []confFile, prior *feed.Prior) error {
	for _, dir := range skeleton {
		prior.Seen(messages.TreeLocal, dir)
		if err := fd.Put(messages.Record{Kind: messages.KindDirectory, Tree: messages.TreeLocal, Path: dir}); err != nil {
			return err
		}
	}
	for _, f := range files {
		if !p.keep(f.name) || strings.HasPrefix(f.name, "polar_node_static") {
			continue
		}
		if err := fd.StartFile(messages.Record{Tree: messages.TreeLocal, Path: f.name}, int64(len(f.content))); err != nil {
			return err
		}
		if len(f.content) > 0 {
			if err := fd.Write(f.content); err != nil {
				return err
			}
		}
		if err := fd.EndFile(); err != nil {
			return err
		}
	}
	return nil
}
