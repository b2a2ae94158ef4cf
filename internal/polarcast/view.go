package polarcast

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"polarcast/pipeline"
	"polarcast/stages"
)

// fresh is how long a report counts: processes report once a second.
const fresh = 4 * time.Second

// View keeps the reports of all processes of one backup.
type View struct {
	client *pipeline.Client
	backup string

	mu      sync.Mutex
	reports map[string]pipeline.Progress // by stage and instance
}

// NewView listens to the reports about a backup until ctx ends.
func NewView(ctx context.Context, c *pipeline.Client, backup string) *View {
	v := &View{client: c, backup: backup, reports: map[string]pipeline.Progress{}}
	go func() {
		_ = c.WatchProgress(ctx, backup, v.report) // without reports the status is what the event log says
	}()
	return v
}

func (v *View) report(p pipeline.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := p.Stage + " " + p.Instance + " " + p.Target
	old, ok := v.reports[key]
	now := time.Now()
	if p.Rate == 0 && ok { // a stage that does not tell its rate
		if d := now.Sub(old.Time).Seconds(); d > 0 {
			p.Rate = max(0, float64(p.Read+p.Written-old.Read-old.Written)) / d
		}
	}
	p.Time = now // the clocks of other hosts may be anywhere
	v.reports[key] = p
}

// stageOrder is how stages are shown.
var stageOrder = []string{StageCheckpoint, StageTablespace, StageWAL, StageStorage, StageNode}

// live returns the reports that count, sorted by stage and instance.
func (v *View) live() []pipeline.Progress {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []pipeline.Progress
	for k, p := range v.reports {
		if time.Since(p.Time) > fresh {
			delete(v.reports, k)
			continue
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b pipeline.Progress) int {
		if d := slices.Index(stageOrder, a.Stage) - slices.Index(stageOrder, b.Stage); d != 0 {
			return d
		}
		if a.Target != b.Target {
			if a.Target < b.Target {
				return -1
			}
			return 1
		}
		if a.Instance < b.Instance {
			return -1
		}
		return 1
	})
	return all
}

// ErrUnknownBackup says that there is no backup of a name.
var ErrUnknownBackup = errors.New("no such backup")

// ErrLogLost says that a backup has streams but no event log: JetStream has lost it.
var ErrLogLost = errors.New("the event log of the backup is lost")

// Known returns the state of a backup that exists.
func Known(ctx context.Context, c *pipeline.Client, backup string) (pipeline.State, error) {
	if err := pipeline.ValidName("backup", backup); err != nil {
		return pipeline.State{}, err
	}
	st, err := c.Log(backup).State(ctx)
	if err != nil || st.Requested != nil {
		return st, err
	}
	left, err := c.AnyStream(ctx, backup)
	switch {
	case err != nil:
	case left:
		err = fmt.Errorf("%w: \"%s\" has streams on this NATS server, but nobody can go on with it; \"polarcast remove %s\" removes them", ErrLogLost, backup, backup)
	default:
		err = fmt.Errorf("%w as \"%s\" on this NATS server: \"polarcast list\" shows those that there are", ErrUnknownBackup, backup)
	}
	return st, err
}

// Status is the backup as it is now.
func (v *View) Status(ctx context.Context) (Status, error) {
	st, err := Known(ctx, v.client, v.backup)
	if err != nil {
		return Status{}, err
	}
	s := fromState(st)
	reports := v.live()
	s.addReports(reports)
	s.addAbsent(st)
	info, err := v.client.ChunkStream(ctx, v.backup)
	switch {
	case errors.Is(err, pipeline.ErrNoStream):
	case err != nil:
		return s, err
	default:
		s.Stream = &StreamStatus{Messages: info.Messages, Bytes: info.Bytes, MaxBytes: info.MaxBytes}
	}
	for _, name := range targetNames(st) {
		t := fromTarget(name, st)
		if s.Stream != nil && (t.State == TargetExpected || t.State == TargetReceiving) {
			lag, err := v.client.TargetLag(ctx, v.backup, name)
			if err != nil && !errors.Is(err, pipeline.ErrNoStream) {
				return s, err
			}
			t.addLag(info, lag, s.ReadPercent)
		}
		t.addReports(reports, &s)
		s.Targets = append(s.Targets, t)
	}
	return s, nil
}

func targetNames(st pipeline.State) []string {
	var names []string
	for n := range st.Targets {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// stateOf names the state of a backup.
func stateOf(st pipeline.State) (state, reason string) {
	switch {
	case st.Cancelled != nil:
		return StateCancelled, st.Cancelled.Reason
	case st.Failed != nil:
		return StateFailed, st.Failed.Error
	case st.Completed != nil:
		return StateComplete, ""
	case stages.Stopped(st) != nil:
		return StateFinishing, ""
	case st.Session() != nil:
		return StateReading, ""
	}
	return StateWaiting, ""
}
