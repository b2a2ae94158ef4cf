package dropin

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"polarcast/messages"
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
	named     string // the data directory in the user's words
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
	if err := r.checkReport(); err != nil {
		return err
	}
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
	if err := r.checkSlot(ctx, conn); err != nil {
		return err
	}
	return r.chooseSource(ctx)
}

// modes returns the modes of files and directories, as the source has them.
func (r *backup) modes() (file, dir fs.FileMode) {
	return stages.FileModes(pipeline.State{Prepared: &r.prepared})
}

func (r *backup) stdout() bool { return r.o.Target.Dir == "-" }

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
