package tablespace

import (
	"bytes"
	"context"
	"time"

	"polarcast/internal/postgres"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/stages/work"
)

// Pages holds what the reader must know to check pages; nil turns the checks off.
type Pages struct {
	// Size of a page and of a relation's segment file, in bytes and pages (pg_control).
	Size          int
	SegmentBlocks uint32
	// Start is the start position of the session: younger pages are repaired by replay.
	Start postgres.LSN
	// NoImages says that the server does not force full page images during the backup (PolarDB with its defaults): then replay repairs nothing,
	// and pages are read again until they are whole, however young they are.
	NoImages bool
}

// Looks at a page that is bad, and the pause between two. A page that is being written is whole again within microseconds; a page that stays as it
// is for so long is damaged.
const (
	pageLooks    = 10
	pagePause    = 5 * time.Millisecond
	maxNamedPage = 100
)

// pageCheck checks the pages of what a worker reads.
type pageCheck struct {
	s       *Files
	p       *Pages
	session uint32
	bad     []postgres.PageFailure
	page    []byte
}

func (s *Files) pageCheck(st pipeline.State) *pageCheck {
	if s.cfg.Pages == nil || !st.Requested.Options.VerifyChecksums {
		return nil
	}
	p := s.cfg.Pages(st)
	if p == nil || p.Size == 0 {
		return nil
	}
	p.Start = postgres.LSN(st.Session().Started.StartLSN)
	return &pageCheck{s: s, p: p, session: st.Session().Started.Session, page: make([]byte, p.Size)}
}

// check looks at the pages in b, which was read at off. A bad page is read again, and what is found replaces it in b. One that stays bad is reported;
// its bytes are passed on as they are, as the server does.
func (c *pageCheck) check(ctx context.Context, h source.Handle, f work.File, b []byte, off int64) error {
	if c == nil {
		return nil
	}
	segment, ok := postgres.HasPageChecksums(f.Path)
	if !ok {
		return nil
	}
	size := int64(c.p.Size)
	first := segment*c.p.SegmentBlocks + uint32(off/size)
	start := c.p.Start
	if c.p.NoImages {
		start = ^postgres.LSN(0)
	}
	c.bad = postgres.VerifyPages(c.bad[:0], b, c.p.Size, first, start)
	var damaged []uint32
	for _, p := range c.bad {
		at := int64(p.Block-first) * size
		good, err := c.again(ctx, h, b[at:at+size], off+at, p.Block, start)
		if err != nil {
			return err
		}
		if !good {
			damaged = append(damaged, segment*c.p.SegmentBlocks+uint32((off+at)/size))
		}
	}
	if len(damaged) == 0 {
		return nil
	}
	return c.report(ctx, f, off, damaged)
}

// again reads one page until it is whole. A page that has changed between two looks is being written, so its reader came in the middle; if it never
// rests it is accepted where replay writes it anew from a full image.
func (c *pageCheck) again(ctx context.Context, h source.Handle, page []byte, off int64, block uint32, start postgres.LSN) (bool, error) {
	changed := false
	for look := range pageLooks {
		if look > 0 {
			select {
			case <-time.After(pagePause):
			case <-ctx.Done():
				return false, context.Cause(ctx)
			}
		}
		c.s.retried.Add(1)
		n, gone, err := fill(h, c.page, off)
		if err != nil {
			return false, err
		}
		if gone || n < len(c.page) {
			return true, nil // cut off or removed meanwhile, and replay knows it
		}
		if !bytes.Equal(c.page, page) {
			changed = true
			copy(page, c.page)
		}
		if len(postgres.VerifyPages(nil, page, c.p.Size, block, start)) == 0 {
			return true, nil
		}
	}
	return changed && !c.p.NoImages, nil
}

// report names damaged pages in the event log.
func (c *pageCheck) report(ctx context.Context, f work.File, off int64, pages []uint32) error {
	d := work.PagesDamaged{Session: c.session, Tree: f.Tree, Path: f.Path, From: off, Count: int64(len(pages)), Pages: pages[:min(len(pages), maxNamedPage)]}
	c.s.cfg.Logger.Warn("checksum verification failed", "file", f.Path, "block", pages[0], "blocks", len(pages))
	if c.s.cfg.OnDamaged != nil {
		c.s.cfg.OnDamaged(d)
	}
	return c.s.cfg.Append(ctx, stageName, work.EventPagesDamaged, d)
}
