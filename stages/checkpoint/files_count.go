package checkpoint

import (
	"context"
	"sync"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/work"
)

// sentBytes follows the progress of all readers: what their messages take, compressed, is known only to them. It is for people, and may lag behind by
// a report or two.
type sentBytes struct {
	mu   sync.Mutex
	by   map[string]int64
	base int64
}

// watch follows the reports until ctx ends.
func (b *sentBytes) watch(ctx context.Context, c *pipeline.Client, backup string) {
	_ = c.WatchProgress(ctx, backup, func(p pipeline.Progress) {
		if p.Stage != "tablespace" {
			return
		}
		b.mu.Lock()
		if b.by == nil {
			b.by = map[string]int64{}
		}
		b.by[p.Instance] = max(b.by[p.Instance], p.Sent)
		b.mu.Unlock()
	})
}

func (b *sentBytes) total() (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.by {
		n += v
	}
	return n - b.base
}

// begin makes the sum start at 0.
func (b *sentBytes) begin() {
	n := b.total()
	b.mu.Lock()
	b.base += n
	b.mu.Unlock()
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
