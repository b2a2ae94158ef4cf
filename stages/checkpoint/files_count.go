package checkpoint

import (
	"context"
	"sync"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/work"
)

// readers follows the progress of all readers of a session: what their messages take, compressed, is known only to them, and what one has read that is gone is known
// to nobody else. It is for people, and may lag behind by a report or two.
type readers struct {
	mu      sync.Mutex
	session uint32
	by      map[string]pipeline.ReadFigures
}

// watch follows the reports until ctx ends.
func (r *readers) watch(ctx context.Context, c *pipeline.Client, backup string) {
	_ = c.WatchProgress(ctx, backup, func(p pipeline.Progress) {
		if p.Stage != "tablespace" {
			return
		}
		r.mu.Lock()
		if p.Session == r.session && r.by != nil {
			r.by[p.Instance] = r.by[p.Instance].Max(p.Figures())
		}
		r.mu.Unlock()
	})
}

// total is what was told of the session.
func (r *readers) total() (t pipeline.ReadFigures) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.by {
		t = t.Plus(f)
	}
	return t
}

// begin starts to count a session.
func (r *readers) begin(session uint32) {
	r.mu.Lock()
	r.session, r.by = session, map[string]pipeline.ReadFigures{}
	r.mu.Unlock()
}

// add puts the figures into a report of the stage.
func (r *readers) add(p *pipeline.Progress) {
	t := r.total()
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Session, p.Readers = r.session, &t
}

// damaged counts the pages of a session that readers have reported as damaged on the source.
func (f *Files) damaged(ctx context.Context, session uint32) (n int64, err error) {
	type place struct {
		tree messages.Tree
		path string
		from int64
	}
	seen := map[place]int64{}
	err = f.cfg.Log().Events(ctx, 0, false, func(_ uint64, ev messages.Event) error {
		if ev.Type != work.EventPagesDamaged {
			return nil
		}
		var d work.PagesDamaged
		if err := ev.Decode(&d); err != nil {
			return err
		}
		if d.Session == session {
			seen[place{d.Tree, d.Path, d.From}] = d.Count
		}
		return nil
	})
	for _, c := range seen {
		n += c
	}
	return n, err
}
