package polarcast

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/run"

	"polarcast/pipeline"
	"polarcast/stages"
)

// Processes report once a second. One that is killed and started again by hand or by a supervisor is away for a few seconds.
const (
	absentLook = time.Second
	absentFor  = 10 * time.Second
)

// missSource warns a person once when a target waits for stages of the source that no process runs, and says when they are there again.
func missSource(ctx context.Context, env stages.Env, g *run.Group) {
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error {
		view := NewView(ctx, env.Client, env.Backup)
		var a absence
		for {
			select {
			case <-time.After(absentLook):
			case <-ctx.Done():
				return ctx.Err()
			}
			st, err := env.Log().State(ctx)
			if err != nil || !env.Client.Connected() {
				a.since = time.Time{} // nobody can be heard
				continue
			}
			switch missing, changed := a.look(time.Now(), st, view.live(), env.Instance); {
			case changed && missing == nil:
				env.Logger.Warn("the processes of the source are there again")
			case changed:
				env.Logger.Warn(fmt.Sprintf("waiting for the source: no process runs its stages %s; start the same \"polarcast send\" again to continue backup \"%s\", or end it with \"polarcast cancel %s\"",
					strings.Join(missing, ", "), env.Backup, env.Backup))
			}
		}
	}, func(error) { cancel() })
}

// absence follows which stages of the source are away.
type absence struct {
	since time.Time
	told  bool
}

// look returns the stages that no process runs, and whether a person has to be told now that this is so, or, with none, that it is over. Nothing is said
// while this process does not hear its own reports either: it may not be allowed to listen.
func (a *absence) look(now time.Time, st pipeline.State, reports []pipeline.Progress, me string) (missing []string, changed bool) {
	if !slices.ContainsFunc(reports, func(p pipeline.Progress) bool { return p.Instance == me }) || st.Requested == nil {
		a.since = time.Time{}
		return nil, false
	}
	s := fromState(st)
	s.addReports(reports)
	s.addAbsent(st)
	for _, g := range s.Stages {
		if len(g.Instances) == 0 {
			missing = append(missing, g.Stage)
		}
	}
	switch {
	case len(missing) == 0:
		a.since = time.Time{}
		changed, a.told = a.told, false
	case a.since.IsZero():
		a.since = now
	case !a.told && now.Sub(a.since) >= absentFor:
		changed, a.told = true, true
	}
	return missing, changed
}
