package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"polarcast/messages"
)

// PathConfig says where the data directory is on this host.
type PathConfig struct {
	// Dir is the data directory.
	Dir string
	// Shared is PolarDB's shared data directory, "" when there is none.
	Shared string
	Rules  Rules
	// Logger is told of files that are neither regular nor a directory.
	Logger *slog.Logger
}

// pathReader reads a data directory that is mounted here.
type pathReader struct{ cfg PathConfig }

var _ Reader = (*pathReader)(nil)

// NewPath returns a reader of a data directory on this host. It must be readable with this process's rights.
func NewPath(cfg PathConfig) (Reader, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	for _, dir := range []string{cfg.Dir, cfg.Shared} {
		if dir == "" {
			continue
		}
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("the path of the source's data directory must be absolute, \"%s\" is not", dir)
		}
		d, err := os.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("could not read the source's data directory \"%s\": %w", dir, unwrap(err))
		}
		d.Close()
	}
	return &pathReader{cfg: cfg}, nil
}

// DataDirectory returns where the server's local data directory is on this host, "" when the reader does not go by its path.
func DataDirectory(r Reader) string {
	switch r := r.(type) {
	case *pathReader:
		return r.cfg.Dir
	case *pfsReader:
		return DataDirectory(r.local)
	}
	return ""
}

func (r *pathReader) root(tree messages.Tree) string {
	if tree == messages.TreeShared {
		return r.cfg.Shared
	}
	return r.cfg.Dir
}

func (r *pathReader) List(ctx context.Context, fn func(Entry) error) error {
	if err := walk(ctx, r, r.cfg.Rules, messages.TreeLocal, fn); err != nil || r.cfg.Shared == "" {
		return err
	}
	return walk(ctx, r, r.cfg.Rules, messages.TreeShared, fn)
}

func (r *pathReader) batch() int { return 1 }

func (r *pathReader) list(ctx context.Context, tree messages.Tree, dirs []string) ([][]Entry, error) {
	out := make([][]Entry, len(dirs))
	for i, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		full := filepath.Join(r.root(tree), dir)
		names, err := os.ReadDir(full)
		if errors.Is(err, fs.ErrNotExist) && dir != "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("could not read directory \"%s\": %w", full, unwrap(err))
		}
		for _, n := range names {
			e, ok, err := r.entry(tree, join(dir, n.Name()), n)
			if err != nil {
				return nil, err
			}
			if ok {
				out[i] = append(out[i], e)
			}
		}
	}
	return out, nil
}

// entry describes one name; ok is false for what vanished and for what no backup holds.
func (r *pathReader) entry(tree messages.Tree, path string, d fs.DirEntry) (e Entry, ok bool, err error) {
	full := filepath.Join(r.root(tree), path)
	e = Entry{Tree: tree, Path: path}
	// PolarDB's shared directory may lie inside of the local one: it is a tree of its own.
	if tree == messages.TreeLocal && r.cfg.Shared != "" && full == filepath.Clean(r.cfg.Shared) {
		return e, false, nil
	}
	info, err := d.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if isSpace(path) {
			e.Kind = Symlink
			if e.Link, err = os.Readlink(full); err == nil {
				return e, true, nil
			}
		} else if path == "pg_wal" {
			e.Kind = Directory // its own place on the source says nothing of the target's
			return e, true, nil
		} else {
			info, err = os.Stat(full) // a file of the configuration, most likely
			if errors.Is(err, syscall.ELOOP) || err == nil && info.IsDir() && !serversOwn(path) {
				r.cfg.Logger.Warn("skipping symbolic link", "file", full)
				return e, false, nil
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("could not stat file or directory \"%s\": %w", full, unwrap(err))
	}
	e.Mode, e.MTime = uint32(info.Mode().Perm()), info.ModTime().Unix()
	switch {
	case info.Mode().IsRegular():
		e.Kind, e.Size = File, info.Size()
	case info.IsDir():
		e.Kind = Directory
	default:
		r.cfg.Logger.Warn("skipping special file", "file", full)
		return e, false, nil
	}
	return e, true, nil
}

// serversOwn reports whether the server keeps its own files at a path. Somebody may have moved them and left a link; any other link to a directory leads to what
// is no part of the cluster, such as logs, backups, or the data directory itself.
func serversOwn(path string) bool {
	dir, _, _ := strings.Cut(path, "/")
	return dir == "base" || dir == "global" || strings.HasPrefix(dir, "pg_")
}

func (r *pathReader) Open(_ context.Context, tree messages.Tree, path string) (Handle, error) {
	f, err := os.Open(filepath.Join(r.root(tree), filepath.FromSlash(path)))
	if err != nil {
		return nil, fmt.Errorf("could not open file \"%s\": %w", filepath.Join(r.root(tree), path), unwrap(err))
	}
	return f, nil
}

func (r *pathReader) Close() error { return nil }

// unwrap takes the path out of an error whose text names it already; errors.Is still works.
func unwrap(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
