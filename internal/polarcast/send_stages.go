package polarcast

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/run"

	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/checkpoint"
	"polarcast/stages/tablespace"
	"polarcast/stages/wal"
)

// retryDelay is the pause before a lost connection to the server is made again.
const retryDelay = 2 * time.Second

// runner is a stage.
type runner interface {
	Run(ctx context.Context) error
}

// errDone ends a group whose work is done.
var errDone = errors.New("done")

// run runs the stages until they have done their part. After an outage of NATS they are begun again, as if the process had been: others may have
// taken over meanwhile.
func (s *Sender) run(ctx context.Context) error { return again(ctx, s.env, s.runOnce) }

func (s *Sender) runOnce(ctx context.Context) error {
	st, err := s.env.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Requested != nil, st.Terminal() })
	if err != nil {
		return err
	}
	parts, err := s.parts(ctx, st)
	if err != nil {
		return err
	}
	var g run.Group
	add := func(fn func(context.Context) error) {
		ctx, cancel := context.WithCancel(ctx)
		g.Add(func() error { return fn(ctx) }, func(error) { cancel() })
	}
	left := make(chan struct{}, len(parts))
	for _, p := range parts {
		add(func(ctx context.Context) error {
			if err := p.Run(ctx); err != nil {
				return err
			}
			left <- struct{}{}
			<-ctx.Done() // this stage is done; the group goes on
			return ctx.Err()
		})
	}
	add(func(ctx context.Context) error { // until all of them are
		for range parts {
			select {
			case <-left:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return errDone
	})
	if s.has(StageCheckpoint) {
		if st.Requested.MaxLag > 0 {
			add(func(ctx context.Context) error { return s.watchLag(ctx, st.Requested.MaxLag) })
		}
		if st.Requested.Keep > 0 {
			add(func(ctx context.Context) error {
				if err := s.Client.Janitor(ctx, s.Backup, time.Duration(st.Requested.Keep), stages.ServedTargets); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			})
		}
	}
	narrate(ctx, s.env, &g)
	err = g.Run()
	if errors.Is(err, errDone) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// parts makes the stages for the backup's source.
func (s *Sender) parts(ctx context.Context, st pipeline.State) ([]runner, error) {
	throttle := stages.NewThrottle(ctx, s.env, "")
	var parts []runner
	files := st.Requested.Source == "files"
	if s.has(StageCheckpoint) {
		c := checkpoint.Config{Env: s.env, Connect: s.Source.Connect, Reconnects: s.Retries, RetryDelay: retryDelay}
		if files {
			parts = append(parts, checkpoint.NewFiles(checkpoint.FilesConfig{Config: c, ConnectSQL: s.Source.ConnectSQL, Open: s.openFiles(1),
				Retries: s.Retries, SpillDir: s.SpillDir}))
		} else {
			parts = append(parts, checkpoint.New(c))
		}
	}
	if s.has(StageTablespace) {
		if files {
			jobs := s.jobs()
			parts = append(parts, tablespace.NewFiles(tablespace.FilesConfig{Env: s.env, Open: s.openFiles(jobs), Jobs: jobs, SpillDir: s.SpillDir,
				Throttle: throttle.Wait}))
		} else {
			parts = append(parts, tablespace.New(tablespace.Config{Env: s.env, Connect: s.Source.Connect, ConnectSQL: s.Source.ConnectSQL, Retries: s.Retries, RetryDelay: retryDelay,
				SpillDir: s.SpillDir, Workers: s.Options.Jobs, Strict: st.Requested.Options.Tar, Throttle: throttle.Wait}))
		}
	}
	if s.has(StageWAL) {
		parts = append(parts, wal.New(wal.Config{Env: s.env, Connect: s.Source.Connect, StatusInterval: s.Options.StatusInterval, Retries: s.Retries,
			Strict: st.Requested.Options.Tar}))
	}
	return parts, nil
}
