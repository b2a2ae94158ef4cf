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

// pageRules are what a reader must know to check pages.
type pageRules struct {
	size          int    // of a page, in bytes
	segmentBlocks uint32 // pages in one segment file of a relation
	// start is the start position of the session: younger pages are repaired by replay, from the full images that a server in backup mode writes.
	start postgres.LSN
}

// loadPageRules returns nil when pages are not to be checked.
func loadPageRules(ctx context.Context, src source.Reader, st pipeline.State) (*pageRules, error) {
	if !st.Requested.Options.VerifyChecksums {
		return nil, nil
	}
	ctl, err := source.Control(ctx, src, source.ControlTree(st.Prepared))
	if err != nil || ctl.DataChecksumVersion == 0 {
		return nil, err
	}
	r := &pageRules{size: int(ctl.BlockSize), segmentBlocks: ctl.RelSegBlocks, start: postgres.LSN(st.Session().Started.StartLSN)}
	if st.Prepared.Polar != nil && !ctl.FullPageWrites {
		// PolarDB does not force full images during a backup: replay repairs nothing, so pages are read until they are whole, however young.
		r.start = noImages
	}
	return r, nil
}

// noImages is a start position that lets no page pass unchecked.
const noImages = ^postgres.LSN(0)

// Looks at a page that is bad, and the pause between two. A page that is being written is whole again within microseconds; a page that stays as it
// is for so long is damaged.
const (
	pageLooks    = 10
	pagePause    = 5 * time.Millisecond
	maxNamedPage = 100
)

// verify appends the bad pages of b to bad. A page that was never initialized is all zeros: one that only begins like that is being written, or was cut
// off, and no server reads it (PageIsVerified). pg_basebackup and pg_checksums pass it.
func (r *pageRules) verify(bad []postgres.PageFailure, b []byte, first uint32) []postgres.PageFailure {
	bad = postgres.VerifyPages(bad, b, r.size, first, r.start)
	for block := first; len(b) >= r.size; block, b = block+1, b[r.size:] {
		if page := b[:r.size]; postgres.PageIsNew(page) && len(bytes.TrimLeft(page, "\x00")) > 0 {
			bad = append(bad, postgres.PageFailure{Block: block})
		}
	}
	return bad
}

// pageCheck checks the pages of what a worker reads.
type pageCheck struct {
	s       *Files
	p       *pageRules
	session uint32
	bad     []postgres.PageFailure
	page    []byte
}

func (s *Files) pageCheck(r *pageRules, session uint32) *pageCheck {
	if r == nil {
		return nil
	}
	return &pageCheck{s: s, p: r, session: session, page: make([]byte, r.size)}
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
	size := int64(c.p.size)
	first := segment*c.p.segmentBlocks + uint32(off/size)
	c.bad = c.p.verify(c.bad[:0], b, first)
	var damaged []uint32
	for _, p := range c.bad {
		at := int64(p.Block-first) * size
		good, err := c.again(ctx, h, b[at:at+size], off+at, p.Block)
		if err != nil {
			return err
		}
		if !good {
			damaged = append(damaged, segment*c.p.segmentBlocks+uint32((off+at)/size))
		}
	}
	if len(damaged) == 0 {
		return nil
	}
	return c.report(ctx, f, off, damaged)
}

// again reads one page until it is whole. A page that has changed between two looks is being written, so its reader came in the middle; if it never
// rests it is accepted where replay writes it anew from a full image.
func (c *pageCheck) again(ctx context.Context, h source.Handle, page []byte, off int64, block uint32) (bool, error) {
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
		if len(c.p.verify(nil, page, block)) == 0 {
			return true, nil
		}
	}
	return changed && c.p.start != noImages, nil
}

// report names damaged pages in the event log.
func (c *pageCheck) report(ctx context.Context, f work.File, off int64, pages []uint32) error {
	d := work.PagesDamaged{Session: c.session, Tree: f.Tree, Path: f.Path, From: off, Count: int64(len(pages)), Pages: pages[:min(len(pages), maxNamedPage)]}
	if c.s.cfg.OnDamaged != nil {
		c.s.cfg.OnDamaged(d)
	} else {
		c.s.cfg.Logger.Warn("checksum verification failed", "file", f.Path, "block", pages[0], "blocks", len(pages))
	}
	return c.s.cfg.Append(ctx, stageName, work.EventPagesDamaged, d)
}
