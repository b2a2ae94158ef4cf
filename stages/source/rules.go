package source

import (
	"fmt"
	"slices"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// NewRules returns the rules of BASE_BACKUP of a server's version.
func NewRules(o postgres.ExcludeOptions) Rules {
	return &rules{ex: postgres.NewExcludes(o), spaces: fmt.Sprintf("PG_%d_", postgres.Major(o.ServerVersion))}
}

type rules struct {
	ex     *postgres.Excludes
	spaces string // how this version's directory in a tablespace begins
}

func (r *rules) Directory(_ messages.Tree, path string) Verdict {
	if !r.own(path) {
		return Skip
	}
	return verdict(r.ex.Decide(path, true, nil))
}

func verdict(d postgres.Decision) Verdict {
	switch d {
	case postgres.Copy:
		return Take
	case postgres.CopyEmpty:
		return Empty
	}
	return Skip
}

// own reports whether a path belongs to this server: a user tablespace may hold directories of other majors beside (pg_upgrade leaves them), and
// whatever people put there. sendTablespace copies one directory only.
func (r *rules) own(path string) bool {
	rest, ok := strings.CutPrefix(path, "pg_tblspc/")
	if !ok {
		return true
	}
	_, below, ok := strings.Cut(rest, "/")
	return !ok || strings.HasPrefix(below, r.spaces)
}

func (r *rules) Files(_ messages.Tree, dir string, names []string) []bool {
	out := make([]bool, len(names))
	var inits map[string]bool
	for _, n := range names {
		if strings.HasSuffix(n, "_init") {
			if inits == nil {
				inits = map[string]bool{}
			}
			inits[join(dir, n)] = true
		}
	}
	exists := func(path string) bool { return inits[path] }
	for i, n := range names {
		path := join(dir, n)
		out[i] = r.own(path) && r.ex.Decide(path, false, exists) == postgres.Copy
	}
	return out
}

func (r *rules) Below(path string) []string {
	all := r.ex.EmptyDirectories()
	return slices.DeleteFunc(slices.Clone(all), func(d string) bool { return !strings.HasPrefix(d, path+"/") })
}
