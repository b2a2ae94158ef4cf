package work

import (
	"cmp"
	"slices"
)

// Planner cuts a listing into items. Large files are kept until Finish, so that the longest pieces of work begin first; small ones are
// handed on as bundles while the listing goes on, so that memory does not grow with their number.
type Planner struct {
	// Emit gets the bundles, in order of the listing.
	Emit func(*Item) error
	// Whole forbids ranges: the manifest's checksum can only be computed by one reader of the whole file.
	Whole bool

	session uint32
	number  int64
	bundle  []File
	bytes   int64
	large   []File

	// Files and Bytes count what was added.
	Files, Bytes int64
}

// NewPlanner returns a planner of items for one session.
func NewPlanner(session uint32, whole bool, emit func(*Item) error) *Planner {
	return &Planner{session: session, Whole: whole, Emit: emit}
}

// Add takes one file of the listing.
func (p *Planner) Add(f File) error {
	p.Files++
	p.Bytes += f.Size
	if f.Size >= SplitSize {
		p.large = append(p.large, f)
		return nil
	}
	if len(p.bundle) > 0 && (p.bytes+f.Size > BundleBytes || len(p.bundle) >= BundleFiles) {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.bundle = append(p.bundle, f)
	p.bytes += f.Size
	return nil
}

func (p *Planner) flush() error {
	if len(p.bundle) == 0 {
		return nil
	}
	p.number++
	it := &Item{Session: p.session, Number: p.number, Files: p.bundle}
	p.bundle, p.bytes = nil, 0
	return p.Emit(it)
}

// Finish ends the last bundle and returns the large files' items, the largest files first.
func (p *Planner) Finish() ([]*Item, error) {
	if err := p.flush(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.large, func(a, b File) int { return cmp.Compare(b.Size, a.Size) })
	var items []*Item
	for _, f := range p.large {
		for from := int64(0); from < f.Size; from += RangeSize {
			p.number++
			it := &Item{Session: p.session, Number: p.number, Files: []File{f}}
			if p.Whole {
				items = append(items, it)
				break
			}
			it.From, it.To = from, min(from+RangeSize, f.Size)
			items = append(items, it)
		}
	}
	p.large = nil
	return items, nil
}
