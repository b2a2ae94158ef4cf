package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"polarcast/messages"
	"polarcast/pfs"
)

// PFSConfig says where PolarDB's two trees are when the shared one is on PFS.
type PFSConfig struct {
	// Local is the local data directory, mounted here.
	Local PathConfig
	// FS is the read-only mount of the PBD. It is closed with the reader.
	FS pfs.FS
	// Dir is the shared data directory on it, /<disk>/….
	Dir string
}

// pfsReader reads the local tree by path and the shared one through PFS.
type pfsReader struct {
	local Reader
	cfg   PFSConfig
}

var _ Reader = (*pfsReader)(nil)

// NewPFS returns a reader of a PolarDB node whose shared tree is on PFS. Neither the server's processor nor its network is used to read it.
func NewPFS(cfg PFSConfig) (Reader, error) {
	cfg.Dir = strings.TrimRight(cfg.Dir, "/")
	cfg.Local.Shared = ""
	if _, err := cfg.FS.Stat(cfg.Dir + "/" + ControlFile); err != nil {
		return nil, fmt.Errorf("there is no data directory at \"%s\" on PFS: %w", cfg.Dir, err)
	}
	local, err := NewPath(cfg.Local)
	if err != nil {
		return nil, err
	}
	return &pfsReader{local: local, cfg: cfg}, nil
}

func (r *pfsReader) List(ctx context.Context, fn func(Entry) error) error {
	if err := r.local.List(ctx, fn); err != nil {
		return err
	}
	return walk(ctx, r, r.cfg.Local.Rules, messages.TreeShared, fn)
}

func (r *pfsReader) batch() int { return 1 }

func (r *pfsReader) list(ctx context.Context, tree messages.Tree, dirs []string) ([][]Entry, error) {
	out := make([][]Entry, len(dirs))
	for i, dir := range dirs {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		full := join(r.cfg.Dir, dir)
		if dir == "" {
			full = r.cfg.Dir
		}
		names, err := r.cfg.FS.ReadDir(full)
		if errors.Is(err, fs.ErrNotExist) && dir != "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("could not read directory \"%s\" on PFS: %w", full, err)
		}
		for _, n := range names {
			e := Entry{Tree: tree, Path: join(dir, n.Name), Kind: Directory}
			if !n.Dir {
				info, err := r.cfg.FS.Stat(full + "/" + n.Name)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return nil, fmt.Errorf("could not stat file \"%s\" on PFS: %w", full+"/"+n.Name, err)
				}
				e.Kind, e.Size, e.MTime = File, info.Size(), info.ModTime().Unix()
			}
			out[i] = append(out[i], e)
		}
	}
	return out, nil
}

func (r *pfsReader) Open(ctx context.Context, tree messages.Tree, path string) (Handle, error) {
	if tree != messages.TreeShared {
		return r.local.Open(ctx, tree, path)
	}
	f, err := r.cfg.FS.Open(r.cfg.Dir+"/"+path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("could not open file \"%s/%s\" on PFS: %w", r.cfg.Dir, path, err)
	}
	return f, nil
}

func (r *pfsReader) Close() error { return errors.Join(r.local.Close(), r.cfg.FS.Close()) }
