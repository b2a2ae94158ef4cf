package stages

import (
	"context"
	"os"
	"sync"
	"time"

	"polarcast/pipeline"
)

// reportInterval is how often a stage tells how far it is.
const reportInterval = time.Second

// signed adds who reports, and when.
func (e Env) signed(p pipeline.Progress) pipeline.Progress {
	p.Host, _ = os.Hostname()
	p.Backup, p.Instance, p.PID, p.Time = e.Backup, e.Instance, os.Getpid(), time.Now()
	return p
}

// Tell sends one report out of turn.
func (e Env) Tell(p pipeline.Progress) { e.Client.ReportProgress(e.signed(p)) }

// Report sends what fill returns about once a second, until the returned function is called or ctx ends, and once more then. It adds who
// reports, and the rate of what is read or written.
func Report(ctx context.Context, env Env, fill func() pipeline.Progress) (stop func()) {
	var last pipeline.Progress
	send := func() {
		p := env.signed(fill())
		if d := p.Time.Sub(last.Time).Seconds(); d > 0 && !last.Time.IsZero() {
			p.Rate = max(0, float64(p.Read+p.Written-last.Read-last.Written)) / d
		}
		last = p
		env.Client.ReportProgress(p)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(reportInterval)
		defer t.Stop()
		send()
		for {
			select {
			case <-t.C:
				send()
			case <-done:
				send()
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	var once sync.Once
	return func() { once.Do(func() { close(done) }); <-ended }
}
