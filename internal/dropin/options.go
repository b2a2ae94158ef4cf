package dropin

import (
	"context"
	"io"
	"log/slog"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/node"
	"polarcast/stages/storage"
	"polarcast/stages/tablespace"
	"polarcast/stages/target"
)

// Options is one backup as the command line describes it.
type Options struct {
	// Request is what goes into the event log; Targets and Fingerprint are filled in by Run.
	Request messages.Requested
	// Fingerprint identifies the options that must be equal for an interrupted backup to be continued.
	Fingerprint string
	// Connect opens a replication connection.
	Connect func(ctx context.Context) (*postgres.Conn, error)
	// Files says how the source is read when it is not by the base backup protocol.
	Files SourceOptions
	// Target is the destination. Dir is "-" for tar to standard output.
	Target target.Config
	Sync   storage.SyncMethod
	// Mount attaches the PFS disk of Target.SharedDir; nil when that is a local directory.
	Mount func(ctx context.Context) (pfs.FS, error)
	// Disk is the name of the disk that Mount attaches.
	Disk string
	// ForceMount says that no other host has the disk mounted for writing, so that one that holds other files may be used.
	ForceMount bool
	// Settings configure the node.
	Settings node.Settings
	// NoResume behaves as pg_basebackup: an interrupted backup is cleaned up, at its end or by the next run.
	NoResume bool
	// NoClean keeps everything after an error.
	NoClean bool
	// StatusInterval is the time between status packets of the WAL connection.
	StatusInterval time.Duration
	// OldManifest is the manifest that an incremental backup builds on.
	OldManifest func() (tablespace.ManifestFile, error)
	// Tar says how archives are written when the target's format is tar.
	Tar *storage.TarOptions
	// NATS is used instead of an embedded server when its URLs are set.
	NATS pipeline.ClientOptions
	// ServerTarget runs the backup on the server (--target): no data comes here.
	ServerTarget bool
	// Umask, when set, changes the process's mask of modes to what the source's directory has.
	Umask func(mask int) (old int)
	// Report is where the JSON summary goes; "" for none.
	Report string
	// UI is told what a person wants to see.
	UI UI
	// Logger receives warnings of the stages.
	Logger *slog.Logger
	Stdout io.Writer
}

// UI is how a run speaks to its user. The methods are called from several goroutines.
type UI interface {
	// ServerVersion tells the source's server_version_num: the wording of lines depends on it.
	ServerVersion(num int)
	// WaitingForCheckpoint is called before the source is asked to begin.
	WaitingForCheckpoint()
	// ServerWarning prints a warning as the server's own are printed.
	ServerWarning(message string)
	// Verbose prints a line that is only shown with -v.
	Verbose(format string, args ...any)
	// Info prints a line that is always shown.
	Info(format string, args ...any)
	// Failed prints an error. Run returns it as Told.
	Failed(err error)
	// Progress shows how far the backup is; last is true once, at the end.
	Progress(p pipeline.Progress, last bool)
}
