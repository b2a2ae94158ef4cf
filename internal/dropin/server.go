package dropin

import (
	"context"
	"errors"
	"io"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/tablespace"
)

// checkServer refuses what this server cannot do, in pg_basebackup's words.
func (r *backup) checkServer() error {
	v, q := r.prepared.ServerVersion, &r.o.Request
	if v < 130000 {
		q.Options.Manifest = "no" // manifests are new in 13, as pg_basebackup has it
	}
	switch {
	case q.Options.IncrementalManifest && v < 170000:
		return errors.New("server does not support incremental backup")
	case q.Options.ServerCompression != "" && v < 150000:
		return errors.New("server does not support server-side compression")
	case r.o.ServerTarget && v < 150000:
		return errors.New("backup targets are not supported by this server version")
	}
	return nil
}

// serverTarget has the server keep the backup (--target): no data comes here, so no pipeline is needed.
func (r *backup) serverTarget(ctx context.Context) error {
	conn, err := r.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	bo := tablespace.BaseBackupOptions(pipeline.State{Requested: &r.o.Request, Prepared: &r.prepared})
	bo.TablespaceMap = true
	bo.Target, bo.TargetDetail, _ = cutTarget(r.o.Request.Options.ServerTarget)
	command, err := postgres.BuildBaseBackup(conn.ServerVersion(), bo)
	if err != nil {
		return err
	}
	r.o.UI.Verbose("initiating base backup, waiting for checkpoint to complete")
	r.o.UI.WaitingForCheckpoint()
	bb, err := conn.BaseBackup(ctx, command)
	if err != nil {
		return err
	}
	r.o.UI.Verbose("checkpoint completed")
	if r.o.Request.WALMethod == "fetch" {
		r.o.UI.Verbose("write-ahead log start point: %s on timeline %d", bb.StartLSN, bb.StartTimeline)
	}
	p := pipeline.Progress{Stage: "tablespace", TablespacesTotal: len(bb.Tablespaces)}
	for _, t := range bb.Tablespaces {
		p.Total += max(t.SizeKB, 0) * 1024
	}
	for {
		it, err := bb.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch it.Kind {
		case postgres.ItemArchive:
			p.Tablespaces++
		case postgres.ItemProgress:
			p.Read = it.Bytes
			r.o.UI.Progress(p, false)
		}
	}
	r.o.UI.Progress(p, true)
	end, _, err := bb.Finish()
	bad := errors.Is(err, postgres.ErrChecksumFailure)
	if err != nil && !bad {
		return err
	}
	if r.o.Request.WALMethod == "fetch" {
		r.o.UI.Verbose("write-ahead log end point: %s", end)
	}
	r.final.Requested = &r.o.Request
	r.final.Prepared = &messages.Prepared{}
	if bad {
		return ErrChecksums
	}
	r.o.UI.Verbose("base backup completed")
	return nil
}

// cutTarget splits TARGET[:DETAIL].
func cutTarget(s string) (name, detail string, ok bool) {
	for i := range s {
		if s[i] == ':' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
