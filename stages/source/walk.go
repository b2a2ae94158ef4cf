package source

import (
	"context"

	"polarcast/messages"
)

// Verdict is what a Rules value says of a name.
type Verdict uint8

const (
	Take  Verdict = iota // copy it
	Empty                // a directory that is copied without its contents
	Skip                 // not part of a base backup
)

// Rules decide what a base backup holds.
type Rules interface {
	// Directory judges a directory by its path in the tree.
	Directory(tree messages.Tree, path string) Verdict
	// Files returns for one directory which of the names of its regular files are copied. Whether a relation is unlogged can only be told
	// from all names together.
	Files(tree messages.Tree, dir string, names []string) []bool
	// Below returns the directories that a backup has in one whose contents are left out.
	Below(path string) []string
}

// lister lists directories of one tree.
type lister interface {
	// list returns the entries of each directory; a directory that vanished has none. dirs are paths in the tree, "" is its root.
	list(ctx context.Context, tree messages.Tree, dirs []string) ([][]Entry, error)
	// batch is how many directories are worth one call.
	batch() int
}

// walk lists a tree level by level, so that directories come before what is in them and a lister may read many of them at once.
func walk(ctx context.Context, l lister, rules Rules, tree messages.Tree, fn func(Entry) error) error {
	for level := []string{""}; len(level) > 0; {
		var next []string
		for len(level) > 0 {
			n := min(len(level), l.batch())
			lists, err := l.list(ctx, tree, level[:n])
			if err != nil {
				return err
			}
			for i, entries := range lists {
				deeper, err := directory(rules, tree, level[i], entries, fn)
				if err != nil {
					return err
				}
				next = append(next, deeper...)
			}
			level = level[n:]
		}
		level = next
	}
	return nil
}

// directory passes on the entries of one directory and returns those to descend into.
func directory(rules Rules, tree messages.Tree, dir string, entries []Entry, fn func(Entry) error) (deeper []string, err error) {
	var names []string
	for i := range entries {
		if entries[i].Kind == File {
			names = append(names, base(entries[i].Path))
		}
	}
	take := rules.Files(tree, dir, names)
	at := 0
	for i := range entries {
		e := entries[i]
		switch e.Kind {
		case File:
			ok := take[at]
			at++
			if !ok {
				continue
			}
		case Directory, Symlink:
			v := rules.Directory(tree, e.Path)
			if v == Skip {
				continue
			}
			if v == Take {
				deeper = append(deeper, e.Path)
			}
		}
		if err := fn(e); err != nil {
			return nil, err
		}
		if e.Kind == Directory {
			for _, d := range rules.Below(e.Path) {
				if err := fn(Entry{Tree: tree, Path: d, Kind: Directory, Mode: e.Mode, MTime: e.MTime}); err != nil {
					return nil, err
				}
			}
		}
	}
	return deeper, nil
}

// base returns the last element of a path.
func base(p string) string {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return p[i+1:]
		}
	}
	return p
}

// join puts a name below a directory of a tree.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// isSpace reports whether a path is the link of a user tablespace.
func isSpace(path string) bool {
	const below = "pg_tblspc/"
	if len(path) <= len(below) || path[:len(below)] != below {
		return false
	}
	for _, c := range path[len(below):] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
