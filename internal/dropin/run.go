package dropin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"polarcast/internal/oserr"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/checkpoint"
	"polarcast/stages/node"
	"polarcast/stages/target"
)

// targetName is the one target of a backup that a single command makes.
const targetName = "main"

// ErrChecksums says that the backup is complete and kept, but that the server found damaged pages.
var ErrChecksums = errors.New("checksum error occurred")

// backup is one backup on its way.
type backup struct {
	o         Options
	id        string
	env       stages.Env
	server    *pipeline.Server
	client    *pipeline.Client
	prepared  messages.Prepared
	made      bool // this run, or the one that it continues, created the directory
	resumed   bool
	storeDir  string
	sourceDir string // the source's data directory on this host
	started   time.Time
	final     pipeline.State
	phases    phases
	damage    damage
}

// Run makes the backup. Its error is what the user reads after "error: ".
func Run(ctx context.Context, o Options) (err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &backup{o: o, started: time.Now()}
	r.phases.start = r.started
	r.damage.ui = o.UI
	defer func() {
		err = cause(ctx, err)
		if e := r.report(err); e != nil {
			err = r.also(err, e)
		}
	}()
	if err := r.identify(ctx); err != nil {
		return err
	}
	if o.ServerTarget {
		return r.serverTarget(ctx)
	}
	// What is created has the modes of the source, whatever the user's own mask is (pg_basebackup.c, umask(pg_mode_mask)).
	_, dirMode := r.modes()
	if o.Umask != nil {
		defer o.Umask(o.Umask(int(0o777 &^ dirMode)))
	}
	defer func() {
		if e := r.detach(); e != nil {
			err = r.also(err, e)
		}
	}()
	if err := r.open(ctx); err != nil {
		r.close()
		return err
	}
	err = r.stages(ctx)
	r.final, _ = r.client.Log(r.id).State(context.WithoutCancel(ctx))
	if err != nil {
		return r.tell(err, func() error { return r.failed(err) })
	}
	return r.complete()
}

// identify asks the source what it is. Nothing is written before it has answered.
func (r *backup) identify(ctx context.Context) error {
	conn, err := r.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r.prepared, err = checkpoint.Identify(ctx, conn)
	if err != nil {
		return err
	}
	r.o.UI.ServerVersion(r.prepared.ServerVersion)
	if err := r.checkServer(); err != nil {
		return err
	}
	if err := r.checkPolar(); err != nil {
		return err
	}
	if err := r.checkDelta(); err != nil {
		return err
	}
	if r.o.Settings.Kind == node.Replica {
		return nil
	}
	return r.chooseSource(ctx)
}

// modes returns the modes of files and directories, as the source has them.
func (r *backup) modes() (file, dir fs.FileMode) {
	return stages.FileModes(pipeline.State{Prepared: &r.prepared})
}

func (r *backup) stdout() bool { return r.o.Target.Dir == "-" }

// open finds or makes the directory, the server and the backup.
func (r *backup) open(ctx context.Context) error {
	_, dirMode := r.modes()
	if r.stdout() {
		tmp, err := os.MkdirTemp("", "polar_basebackup-")
		if err != nil {
			return fmt.Errorf("could not create a directory for the backup's buffers: %w", err)
		}
		r.storeDir = tmp
		return r.begin(ctx)
	}
	dir, err := filepath.Abs(r.o.Target.Dir)
	if err != nil {
		return err
	}
	r.o.Target.Dir = dir
	r.storeDir = filepath.Join(dir, target.MarkerDir, "jetstream")
	if err := r.attach(ctx); err != nil {
		return err
	}
	if owner, made := target.OwnerOf(dir); owner != "" {
		r.made = made
		return r.reopen(ctx, owner)
	}
	state, err := target.CheckDir(pfs.Local(), dir)
	if err != nil {
		return err
	}
	switch {
	case state == target.InUse && r.o.Target.Delta:
		return r.take(ctx)
	case state == target.InUse:
		return fmt.Errorf("directory \"%s\" exists but is not empty", r.o.Target.Dir)
	}
	if err := r.checkFresh(); err != nil {
		return err
	}
	switch state {
	case target.Missing:
		if err := pfs.MkdirAll(pfs.Local(), dir, dirMode); err != nil {
			return fmt.Errorf("could not create directory \"%s\": %w", dir, oserr.Cause(err))
		}
		r.made = true
	}
	r.id = newID()
	if err := target.MarkAs(dir, r.id, r.made); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return r.tell(cause(ctx, err), r.abandon)
	}
	return nil
}

// begin starts the server and registers a new backup.
func (r *backup) begin(ctx context.Context) error {
	if r.id == "" {
		r.id = newID()
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	req := r.o.Request
	req.Targets, req.Fingerprint = []string{targetName}, r.o.Fingerprint
	if r.besides() {
		req.Codec = "none" // nothing is sent anywhere
	}
	return r.client.CreateBackup(ctx, r.id, req, pipeline.StreamOptions{MaxBytes: chunkStreamBytes, Targets: req.Targets})
}

// besideBytes bounds the file data that waits in memory between reading and writing.
const besideBytes = 24 << 20

// besides says whether file data waits in memory, beside the embedded server. A session that goes on where another one was lost needs all that
// was sent, so there it goes into the store.
func (r *backup) besides() bool { return len(r.o.NATS.URLs) == 0 && !r.o.Request.Stitch }

// chunkStreamBytes bounds what waits between reading and writing. It is small because the store's blocks are cached in memory, and large
// enough to bridge a sync of the target.
const chunkStreamBytes = 64 << 20

// reopen continues the interrupted backup that a directory holds, or removes it.
func (r *backup) reopen(ctx context.Context, owner string) error {
	r.id = owner
	if err := r.connect(ctx); err != nil {
		return err
	}
	st, err := r.client.Log(owner).State(ctx)
	if err != nil {
		return err
	}
	if r.o.Target.Delta && !r.continues(st) {
		return r.retake(ctx)
	}
	if target.IsKept(r.o.Target.Dir) && (r.o.NoResume || !r.o.Target.Delta && !r.continues(st)) {
		return fmt.Errorf("directory \"%s\" holds an old copy that an interrupted command with --delta was bringing up to date: repeat that command, or remove the directory", r.o.Target.Dir)
	}
	if r.o.NoResume || st.Requested == nil || r.o.Tar != nil { // archives are written from front to back: they are begun again
		return r.restart(ctx, st)
	}
	r.o.Target.Delta = r.o.Target.Delta || target.IsKept(r.o.Target.Dir)
	if st.Requested.Fingerprint != r.o.Fingerprint {
		return fmt.Errorf("directory \"%s\" holds an interrupted backup that was made with other options (%s): repeat that command to continue it, or add --no-resume to start over",
			r.o.Target.Dir, st.Requested.Command)
	}
	if st.Prepared != nil && st.Prepared.SystemID != r.prepared.SystemID {
		return fmt.Errorf("directory \"%s\" holds an interrupted backup of another server (system identifier %s, this one is %s): connect to that server to continue it, or add --no-resume to start over",
			r.o.Target.Dir, st.Prepared.SystemID, r.prepared.SystemID)
	}
	if st.Completed == nil && st.Terminal() != nil {
		return r.restart(ctx, st)
	}
	if r.server != nil {
		if err := r.client.TakeOver(ctx, owner); err != nil {
			return err
		}
		// What the process before had in memory is gone, and is published again.
		if r.env.Lost, err = node.Lost(ctx, r.client, owner, targetName); err != nil {
			return err
		}
	}
	r.resumed = true
	r.o.UI.Info("continuing the interrupted backup in directory \"%s\"", r.o.Target.Dir)
	return nil
}

// restart removes what the interrupted backup created and begins a new one.
func (r *backup) restart(ctx context.Context, st pipeline.State) error {
	opened := st.Targets[targetName].Opened
	r.o.UI.Info("removing the interrupted backup in directory \"%s\"", r.o.Target.Dir)
	if err := r.clean(opened); err != nil {
		return err
	}
	r.id = ""
	return r.open(ctx)
}

// connect starts the embedded server, or connects to the one that was named.
func (r *backup) connect(ctx context.Context) error {
	opts := r.o.NATS
	// Stages spill to it too, also when the buffers are on another host.
	if err := os.MkdirAll(r.storeDir, 0o700); err != nil {
		return fmt.Errorf("could not create directory \"%s\": %w", r.storeDir, oserr.Cause(err))
	}
	if len(opts.URLs) == 0 {
		s, err := pipeline.StartServer(pipeline.ServerOptions{StoreDir: r.storeDir, Logger: r.o.Logger})
		if err != nil {
			return err
		}
		r.server, opts.Server = s, s
		if r.besides() {
			opts.Beside = besideBytes
		}
	}
	opts.Name, opts.Logger = "polar_basebackup", r.o.Logger
	c, err := pipeline.Connect(ctx, opts)
	if err != nil {
		return err
	}
	r.client = c
	r.env = stages.Env{Client: c, Backup: r.id, Logger: r.o.Logger}.WithDefaults()
	return nil
}

// close stops the server and forgets the client.
func (r *backup) close() {
	if r.client != nil {
		r.client.Close()
	}
	if r.server != nil {
		r.server.Shutdown()
	}
	if r.stdout() && r.storeDir != "" {
		_ = os.RemoveAll(r.storeDir)
	}
}

// complete removes what only the run needed.
func (r *backup) complete() error {
	if r.server == nil && r.client != nil {
		// A server of its own keeps the event log as history; the streams are not needed any more.
		if err := r.client.DropStreams(context.Background(), r.id); err != nil {
			return err
		}
	}
	r.close()
	if !r.stdout() {
		if err := target.Unmark(r.o.Target.Dir); err != nil {
			return err
		}
	}
	if cur := r.final.Session(); cur != nil && cur.ReadDone != nil && cur.ReadDone.ChecksumFailures > 0 {
		r.damage.total()
		return ErrChecksums
	}
	return nil
}
