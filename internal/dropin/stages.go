package dropin

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/oklog/run"

	"polarcast/pipeline"
	"polarcast/stages/checkpoint"
	"polarcast/stages/node"
	"polarcast/stages/storage"
	"polarcast/stages/tablespace"
	"polarcast/stages/target"
	"polarcast/stages/wal"
)

// stages runs the five stages until the backup is complete or one of them fails.
func (r *backup) stages(ctx context.Context) error {
	o := &r.o
	o.Target.Name = targetName
	st := storage.Config{Env: r.env, Target: o.Target, Sync: o.Sync, ForceMount: true} // checkFresh has looked at the disk
	if st.Target.SharedFS != nil {
		// That one is the run's own, which is given back before the node is started. The stages share its mount.
		st.Target.SharedFS, st.Mount = nil, o.Mount
	}
	sequential := o.Tar != nil
	if sequential {
		st.NewSink = r.tarSink
	}
	parts := map[string]interface{ Run(context.Context) error }{
		"checkpoint": checkpoint.New(checkpoint.Config{Env: r.env, Connect: o.Connect}),
		"tablespace": tablespace.New(tablespace.Config{Env: r.env, Connect: o.Connect, ConnectSQL: o.Files.ConnectSQL, OldManifest: o.OldManifest, Strict: sequential,
			SpillDir: r.storeDir}),
		"wal":     wal.New(wal.Config{Env: r.env, Connect: o.Connect, StatusInterval: o.StatusInterval, EndWhenTerminated: true, Strict: sequential}),
		"storage": storage.New(st),
		"node":    node.New(node.Config{Env: r.env, Storage: st, Settings: o.Settings, KeepMarker: true, Release: r.detach, OnPhase: r.phase}),
	}
	if err := r.filesStages(ctx, parts); err != nil {
		return err
	}
	var g run.Group
	var failure atomic.Pointer[error] // the first one: others follow from it
	for name, p := range parts {
		ctx, cancel := context.WithCancel(ctx)
		g.Add(func() error {
			if err := p.Run(ctx); err != nil {
				if ctx.Err() == nil {
					failure.CompareAndSwap(nil, &err)
					if !sequential && name != "storage" && name != "node" {
						r.settle(ctx)
					}
				}
				return err
			}
			<-ctx.Done() // this stage is done; the group goes on
			return ctx.Err()
		}, func(error) { cancel() })
	}
	wctx, cancel := context.WithCancel(ctx)
	g.Add(func() error {
		_, err := r.env.Log().Wait(wctx, func(st pipeline.State) (bool, error) { return st.Completed != nil, st.Terminal() })
		if err == nil {
			err = errDone
		}
		return err
	}, func(error) { cancel() })
	stop := r.follow(wctx)
	err := g.Run()
	cancel()
	stop()
	if errors.Is(err, errDone) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if first := failure.Load(); first != nil {
		return *first
	}
	return err
}

// settleTime bounds how long the target may take to write what came before the source failed.
const settleTime = 10 * time.Second

// settle waits until the target has written what is in memory beside the embedded server: it would be lost with this process. What is not written in time is read
// and sent again.
func (r *backup) settle(ctx context.Context) {
	if r.server == nil {
		return // JetStream holds it
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_ = r.env.Drained(ctx, nil)
}

// tarSink makes the sink of archives, with the recovery settings in them.
func (r *backup) tarSink(l *target.Layout) (storage.Sink, error) {
	t := *r.o.Tar
	t.Inject = r.o.Settings.RecoveryFiles(r.prepared.ServerVersion)
	if r.stdout() {
		// One archive holds one tablespace's files: with the map that says where the others are, a server refuses to start on what is unpacked.
		if _, shared := l.Shared(); shared == "" && len(l.Spaces()) > 0 {
			return nil, fmt.Errorf("can only write single tablespace to stdout, database has %d", len(l.Spaces())+1)
		}
		t.Out = r.o.Stdout
	}
	return storage.NewTarSink(l, r.o.Sync, t), nil
}

var errDone = errors.New("done")

// follow tells the user what happens, from the event log and the progress reports, until the returned function is called.
func (r *backup) follow(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	v := &narrator{r: r}
	first := uint64(0)
	if st, err := r.env.Log().State(ctx); err == nil {
		first = st.Seq
	}
	go func() {
		defer close(done)
		_ = r.env.Log().Events(ctx, first+1, true, v.event)
	}()
	go func() { _ = r.client.WatchProgress(ctx, r.id, v.progress) }()
	go v.tellSpin(ctx)
	if r.o.Request.Options.NoShared {
		r.o.UI.Verbose("copying the server's configuration; its data is shared")
	} else {
		r.o.UI.Verbose("initiating base backup, waiting for checkpoint to complete")
		r.o.UI.WaitingForCheckpoint()
	}
	return func() {
		// The last events are told by this goroutine's reading, which is only a moment behind.
		time.AfterFunc(2*time.Second, cancel)
		v.wait(ctx)
		cancel()
		<-done
		v.end()
	}
}

// phase tells the user what the node stage does.
func (r *backup) phase(p node.Phase) {
	switch p {
	case node.PhaseSync:
		r.o.UI.Verbose("syncing data to disk ...")
	case node.PhaseManifest:
		r.o.UI.Verbose("renaming backup_manifest.tmp to backup_manifest")
	case node.PhaseStart:
		r.o.UI.Verbose("starting the node ...")
	case node.PhaseStream:
		if r.o.Settings.Kind == node.Primary {
			r.o.UI.Verbose("waiting for the node to end recovery ...")
		} else {
			r.o.UI.Verbose("waiting for the node to stream from the server ...")
		}
	}
}
