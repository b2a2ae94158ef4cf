package polarcast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/run"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/node"
	"polarcast/stages/storage"
	"polarcast/stages/target"
)

// Receiver runs stages of one target.
type Receiver struct {
	Client *pipeline.Client
	Backup string
	// Stages to run: StageStorage, StageNode or both.
	Stages []string
	// Target is where the data goes; its Name is one of the backup's targets, or joins them.
	Target target.Config
	Sync   storage.SyncMethod
	// Tar says how archives are written when the target's format is tar.
	Tar *storage.TarOptions
	// Settings is what the node is configured with.
	Settings node.Settings
	// CreateSlot, when set, connects to the server on which Settings.Slot is created before anything is written.
	CreateSlot Connector
	// Mount attaches the disk of the shared directory; nil when that is a local one.
	Mount func(context.Context) (pfs.FS, error)
	// ForceMount says that the disk need not be empty.
	ForceMount bool
	Logger     *slog.Logger

	env stages.Env
}

// Run returns nil when the target is a node, or with the stage storage alone when the target was proven complete.
func (r *Receiver) Run(ctx context.Context) error {
	r.env = stages.Env{Client: r.Client, Backup: r.Backup, Logger: r.Logger}.WithDefaults()
	r.Logger = r.env.Logger
	if err := r.check(); err != nil {
		return err
	}
	if err := waitForBackup(ctx, r.env); err != nil {
		return err
	}
	st, err := r.env.Log().State(ctx)
	if err != nil {
		return err
	}
	done, err := r.join(ctx, st)
	if err != nil || done {
		return err
	}
	if err := r.createSlot(ctx); err != nil {
		return err
	}
	return r.run(ctx)
}

func (r *Receiver) has(stage string) bool { return slices.Contains(r.Stages, stage) }

// check refuses what is wrong whatever the backup is.
func (r *Receiver) check() error {
	if err := pipeline.ValidName("backup", r.Backup); err != nil {
		return err
	}
	if err := pipeline.ValidName("target", r.Target.Name); err != nil {
		return err
	}
	if r.Target.Dir == "-" {
		return errors.New("a backup cannot be received on standard output: give a directory with -D")
	}
	dir, err := filepath.Abs(r.Target.Dir)
	if err != nil {
		return err
	}
	r.Target.Dir = dir
	if o := target.Owner(dir); o != "" && o != r.Backup && !r.Target.Delta {
		return fmt.Errorf("directory \"%s\" belongs to the unfinished backup \"%s\"; continue that one, or remove the directory", dir, o)
	}
	return nil
}

// run runs the stages until they have done their part. After an outage of NATS they are begun again, as if the process had been: others may have
// taken over meanwhile.
func (r *Receiver) run(ctx context.Context) error { return again(ctx, r.env, r.runOnce) }

func (r *Receiver) runOnce(ctx context.Context) error {
	st := storage.Config{Env: r.env, Target: r.Target, Sync: r.Sync, Mount: r.Mount, ForceMount: r.ForceMount, Throttle: stages.NewThrottle(ctx, r.env, r.Target.Name).Wait}
	if r.Tar != nil {
		st.NewSink = func(l *target.Layout) (storage.Sink, error) {
			t := *r.Tar
			s, err := r.env.Log().State(ctx)
			if err != nil {
				return nil, err
			}
			t.Inject = r.Settings.RecoveryFiles(s.Prepared.ServerVersion)
			return storage.NewTarSink(l, r.Sync, t), nil
		}
	}
	var parts []runner
	if r.has(StageStorage) {
		parts = append(parts, storage.New(st))
	}
	if r.has(StageNode) {
		parts = append(parts, node.New(node.Config{Env: r.env, Storage: st, Settings: r.Settings, Locate: r.locate}))
	}
	var g run.Group
	left := make(chan struct{}, len(parts))
	add := func(fn func(context.Context) error) {
		ctx, cancel := context.WithCancel(ctx)
		g.Add(func() error { return fn(ctx) }, func(error) { cancel() })
	}
	for _, p := range parts {
		add(func(ctx context.Context) error {
			if err := p.Run(ctx); err != nil {
				return err
			}
			left <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
	}
	add(func(ctx context.Context) error {
		for range parts {
			select {
			case <-left:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return errDone
	})
	narrate(ctx, r.env, &g)
	missSource(ctx, r.env, &g)
	err := g.Run()
	switch {
	case errors.Is(err, errDone):
		r.Logger.Info("target is ready", "target", r.Target.Name, "directory", r.Target.Dir)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// locate returns where the files of the target are.
func (r *Receiver) locate(st pipeline.State) target.Config {
	r.adopt(st.Targets[r.Target.Name])
	return r.Target
}

// adopt takes over from the process that has opened the target where its files go, as far as this one was not told.
func (r *Receiver) adopt(t pipeline.TargetState) {
	if t.Opened != nil && t.Opened.Layout != nil {
		r.Target.Adopt(*t.Opened.Layout)
	}
}

// joined is what the event log says about who serves the target.
func (r *Receiver) joined() messages.TargetJoined {
	host, _ := os.Hostname()
	return messages.TargetJoined{Target: r.Target.Name, Format: string(r.Target.Format), Directory: r.Target.Dir, SharedDirectory: r.Target.SharedDir, Host: host}
}
