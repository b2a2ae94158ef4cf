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

// Report sends what fill returns about once a second, until the returned function is called or ctx ends, and once more then. It adds who
// reports, and the rate of what is read or written.
func Report(ctx context.Context, env Env, fill func() pipeline.Progress) (stop func()) {
	host, _ := os.Hostname()
	var last pipeline.Progress
	send := func() {
		p := fill()
		p.Backup, p.Instance, p.Host, p.PID, p.Time = env.Backup, env.Instance, host, os.Getpid(), time.Now()
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
