package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/cli"
	"polarcast/internal/cli/basebackup"
	"polarcast/internal/dropin"
	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/node"
	"polarcast/stages/storage"
	"polarcast/stages/tablespace"
	"polarcast/stages/target"
)

// options turns a checked command line into a run.
func options(o *basebackup.Options, u *ui) (dropin.Options, error) {
	cfg, err := connection(o, u)
	if err != nil {
		return dropin.Options{}, err
	}
	d := dropin.Options{
		Request:     request(o),
		Fingerprint: o.Fingerprint(),
		Connect:     func(ctx context.Context) (*postgres.Conn, error) { return postgres.Connect(ctx, cfg) },
		Target:      target.Config{Format: target.Format(o.Format), Dir: o.Directory, SharedDir: o.PolarData, WALDir: o.WALDir, Delta: o.Delta},
		Sync:        storage.SyncMethod(o.SyncMethod),
		Files:       dropin.SourceOptions{Kind: o.Source, Read: o.Read, Jobs: o.Jobs, ConnectSQL: sqlConnection(o, u)},
		Settings:    node.Settings{Kind: node.Kind(o.NodeIs), WriteRecoveryConf: o.WriteRecoveryConf, Slot: o.Slot},
		NoResume:    !o.Resume, NoClean: o.NoClean,
		StatusInterval: o.StatusInterval,
		NATS: pipeline.ClientOptions{URLs: o.NATS.URLs, Creds: o.NATS.Creds, NKey: o.NATS.NKey, User: o.NATS.User, Password: o.NATS.Password,
			Token: o.NATS.Token, CA: o.NATS.TLSCA, Cert: o.NATS.TLSCert, Key: o.NATS.TLSKey},
		ServerTarget: o.Target != "",
		Umask:        syscall.Umask,
		Report:       o.Report,
		UI:           u,
		Logger:       slog.New(cli.NewLogHandler(u.m)),
		Stdout:       os.Stdout,
	}
	if o.NoSync {
		d.Sync = storage.SyncNone
	}
	for _, m := range o.Tablespaces {
		d.Target.Tablespaces = append(d.Target.Tablespaces, target.Mapping{Old: m.Old, New: m.New})
	}
	if o.WriteRecoveryConf || d.Settings.Kind == node.Standby || d.Settings.Kind == node.Replica {
		d.Settings.ConnInfo = cfg.PrimaryConnInfo
	}
	polar(o, u, &d)
	if o.Incremental != "" {
		d.OldManifest = func() (tablespace.ManifestFile, error) {
			f, err := os.Open(o.Incremental)
			if err != nil {
				return nil, fmt.Errorf("could not open file \"%s\": %w", o.Incremental, err)
			}
			return f, nil
		}
	}
	if o.Format == basebackup.Tar {
		// What the server compressed is unpacked for the pipeline, and packed again as its user wants it.
		c := &o.Compression
		d.Tar = &storage.TarOptions{Compression: c.Method, Level: c.Level, Workers: c.Workers, Long: c.Long, PlainWAL: c.Server || c.Method != "gzip"}
	}
	return d, nil
}

// request is what goes into the event log; it holds no secret.
func request(o *basebackup.Options) messages.Requested {
	checkpoint := "spread"
	if o.FastCheckpoint {
		checkpoint = "fast"
	}
	r := messages.Requested{
		Label: o.Label, Source: "stream", WALMethod: o.WALMethod, Slot: o.Slot, CreateSlot: o.CreateSlot, NoSlot: o.NoSlot, Stitch: o.Stitch, Delta: o.Delta,
		Codec: o.Codec, Command: commandLine(o),
		Options: messages.BackupOptions{Checkpoint: checkpoint, MaxRate: o.MaxRate, Manifest: o.Manifest(), ManifestChecksums: o.ManifestChecksums,
			VerifyChecksums: !o.NoVerifyChecksums, EstimateSize: !o.NoEstimateSize, IncrementalManifest: o.Incremental != "",
			Tar: o.Format == basebackup.Tar},
	}
	if o.NoManifest {
		r.Options.ManifestChecksums = ""
	}
	if method, detail := o.Compression.ServerOptions(); method != "" && method != "none" {
		r.Options.ServerCompression = method
		if o.Compression.HasDetail {
			r.Options.ServerCompression += ":" + detail
		}
	}
	if o.Target != "" {
		r.Options.ServerTarget = o.Target
		if o.HasTargetDetail {
			r.Options.ServerTarget += ":" + o.TargetDetail
		}
	}
	return r
}

// commandLine is the command as its user typed it, for messages about an interrupted backup. A connection string may hold a password, so
// its value is left out.
func commandLine(o *basebackup.Options) string {
	args := []string{o.ProgName}
	hide := false
	for _, a := range os.Args[1:] {
		switch {
		case hide:
			a, hide = "…", false
		case a == "-d" || a == "--dbname":
			hide = true
		case strings.HasPrefix(a, "-d"):
			a = "-d…"
		case strings.HasPrefix(a, "--dbname="):
			a = "--dbname=…"
		}
		args = append(args, a)
	}
	return strings.Join(args, " ")
}

// sqlConnection opens ordinary connections to the same server, for backup mode and for files.
func sqlConnection(o *basebackup.Options, u *ui) func(context.Context) (*pgconn.PgConn, error) {
	opts := connOptions(o, u)
	opts.Replication = false
	cfg := sync.OnceValues(func() (*postgres.Config, error) { return postgres.ParseConfig(opts) })
	return func(ctx context.Context) (*pgconn.PgConn, error) {
		c, err := cfg()
		if err != nil {
			return nil, err
		}
		return postgres.ConnectSQL(ctx, c)
	}
}

// askOnce asks a person for the password once, however many configurations of connections there are.
func askOnce(ask func(string) (string, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		asked.Do(func() { typed, typedErr = ask(text) })
		return typed, typedErr
	}
}

var (
	asked    sync.Once
	typed    string
	typedErr error
)

// connection reads where the server is, as libpq does.
func connection(o *basebackup.Options, u *ui) (*postgres.Config, error) {
	return postgres.ParseConfig(connOptions(o, u))
}

func connOptions(o *basebackup.Options, u *ui) postgres.ConnOptions {
	return postgres.ConnOptions{
		ConnString: o.ConnString, Host: o.Host, Port: o.Port, User: o.User,
		NoPassword: o.Password == basebackup.PasswordNever, ForcePassword: o.Password == basebackup.PasswordForce,
		Prompt: askOnce(prompt), AppName: filepath.Base(o.ProgName), Replication: true,
		OnNotice: func(severity, message, detail, hint, _ string) { u.m.Notice(severity, message, detail, hint) },
	}
}
