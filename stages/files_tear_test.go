package stages_test

import (
	"context"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"testing"

	"polarcast/messages"
	"polarcast/stages/source"
)

const pageSize = 8192

// tearer is a source whose every page that has changed since backup mode began is torn: some of its sectors are as they were then, some as they are now.
// A server may be seen so by any reader, and the full page images in the WAL since that moment repair it.
type tearer struct {
	t    *testing.T
	once sync.Once
	// late makes single pages, which are read again because they are bad, whole after so many looks; 0: half of these looks are torn too.
	late int

	mu     sync.Mutex
	before map[string][]byte // relation files as the first session listed them
	looks  map[string]int
	rnd    *rand.Rand
	torn   int
}

func newTearer(t *testing.T) *tearer {
	return &tearer{t: t, before: map[string][]byte{}, looks: map[string]int{}, rnd: rand.New(rand.NewPCG(1, 2))}
}

func (r *tearer) wrap(rd source.Reader) source.Reader { return tearing{rd, r} }

// pages is the number of torn pages that were given so far.
func (r *tearer) pages() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.torn
}

// relation says whether a path is a relation's: base/5/16384.1, pg_tblspc/16400/PG_15_…/5/16390_vm.
func relation(p string) bool {
	name := path.Base(p)
	return (strings.HasPrefix(p, "base/") || strings.HasPrefix(p, "global/") || strings.HasPrefix(p, "pg_tblspc/")) && name[0] >= '0' && name[0] <= '9'
}

type tearing struct {
	source.Reader
	r *tearer
}

// List keeps the contents of all relation files, the first time: the server is in backup mode, so this is after the redo position.
func (s tearing) List(ctx context.Context, fn func(source.Entry) error) error {
	var err error
	s.r.once.Do(func() {
		err = s.Reader.List(ctx, func(e source.Entry) error {
			if e.Kind != source.File || !relation(e.Path) || e.Size == 0 {
				return nil
			}
			h, err := s.Reader.Open(ctx, e.Tree, e.Path)
			if err != nil {
				return nil // vanished
			}
			defer h.Close()
			b := make([]byte, e.Size)
			n, _ := h.ReadAt(b, 0)
			s.r.mu.Lock()
			s.r.before[e.Path] = b[:n]
			s.r.mu.Unlock()
			return nil
		})
	})
	if err != nil {
		return err
	}
	return s.Reader.List(ctx, fn)
}

func (s tearing) Open(ctx context.Context, tree messages.Tree, p string) (source.Handle, error) {
	h, err := s.Reader.Open(ctx, tree, p)
	if err != nil || !relation(p) {
		return h, err
	}
	return &tearingHandle{h, s.r, p}, nil
}

type tearingHandle struct {
	source.Handle
	r    *tearer
	path string
}

func (h *tearingHandle) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.Handle.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return n, err
	}
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	before := h.r.before[h.path]
	for at := int64(0); at+pageSize <= int64(n) && off%pageSize == 0 && off+at+pageSize <= int64(len(before)); at += pageSize {
		h.r.tear(h.path, p[at:at+pageSize], before[off+at:][:pageSize], off+at, n == pageSize)
	}
	return n, err
}

// tear replaces some sectors of a page by what they were.
func (r *tearer) tear(path string, page, before []byte, off int64, single bool) {
	if string(page) == string(before) {
		return
	}
	if single {
		key := path + ":" + string(rune(off/pageSize))
		r.looks[key]++
		if r.late > 0 && r.looks[key] > r.late || r.late == 0 && r.rnd.IntN(2) == 0 {
			return
		}
	}
	from, to := 0, pageSize/2
	if r.rnd.IntN(2) == 0 {
		from, to = pageSize/2, pageSize
	}
	if r.rnd.IntN(4) == 0 { // sectors
		for at := 0; at < pageSize; at += 512 {
			if r.rnd.IntN(2) == 0 {
				copy(page[at:at+512], before[at:])
			}
		}
	} else {
		copy(page[from:to], before[from:to])
	}
	r.torn++
}
