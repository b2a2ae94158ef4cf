package pfs

import (
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"polarcast/pfs/internal/sdk"
)

// Limits of libpfsd. A longer write is EFBIG; a longer read is cut without a word.
const (
	maxIO  = 4 << 20
	sector = 4096
)

// handle is one user's view of the process's mount.
type handle struct {
	d        *disk
	readOnly bool
	closed   atomic.Bool
}

var (
	_ FS     = (*handle)(nil)
	_ Syncer = (*handle)(nil)
)

// path runs one call that takes a path. write tells whether it changes anything.
func (h *handle) path(op, name string, write bool, run func(name string) error) error {
	p, err := h.d.resolve(name)
	if err == nil && write && h.readOnly {
		err = syscall.EROFS
	}
	if err == nil {
		err = h.do(op, p, 0, func() error { return run(p) })
	}
	return pathError(op, name, err)
}

func (h *handle) Open(name string, flag int, _ fs.FileMode) (File, error) {
	const known = os.O_RDONLY | os.O_WRONLY | os.O_RDWR | os.O_CREATE | os.O_EXCL | os.O_TRUNC
	if flag&os.O_APPEND != 0 {
		return nil, pathError("open", name, errAppend)
	}
	f := &remoteFile{h: h, name: name, flag: flag}
	err := h.path("open", name, flag&(os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_RDWR) != 0, func(p string) error {
		fd, err := sdk.Open(p, flag&known)
		if err != nil {
			return err
		}
		// PFS opens directories too, and does not look at the access mode.
		st, err := sdk.StatFD(fd)
		if err == nil && st.Dir {
			err = syscall.EISDIR
		}
		if err != nil {
			_ = sdk.Close(fd)
			return err
		}
		f.fd, f.ino = fd, st.Ino
		f.inode = h.d.openInode(st.Ino)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (h *handle) Rename(oldname, newname string) error {
	from, err := h.d.resolve(oldname)
	var to string
	if err == nil {
		to, err = h.d.resolve(newname)
	}
	if err == nil && h.readOnly {
		err = syscall.EROFS
	}
	if err == nil {
		err = h.do("rename", from, 0, func() error { return sdk.Rename(from, to) })
	}
	return linkError("rename", oldname, newname, err)
}

func (h *handle) Remove(name string) error { return h.path("remove", name, true, sdk.Unlink) }
func (h *handle) Rmdir(name string) error  { return h.path("rmdir", name, true, sdk.Rmdir) }

func (h *handle) Mkdir(name string, _ fs.FileMode) error {
	return h.path("mkdir", name, true, sdk.Mkdir)
}

func (h *handle) ReadDir(name string) ([]DirEntry, error) {
	var list []sdk.Entry
	var root bool
	err := h.path("readdir", name, false, func(p string) (err error) {
		root = strings.Count(p, "/") == 2 && strings.HasSuffix(p, "/")
		list, err = sdk.List(p)
		return err
	})
	out := make([]DirEntry, 0, len(list))
	for _, e := range list {
		if !root || !strings.HasPrefix(e.Name, ".pfs-") {
			out = append(out, DirEntry{Name: e.Name, Dir: e.Dir})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, err
}

func (h *handle) Stat(name string) (fs.FileInfo, error) {
	var st sdk.Stat
	err := h.path("stat", name, false, func(p string) (err error) {
		st, err = sdk.StatPath(p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &remoteInfo{path.Base(name), st}, nil
}

// SyncDir does nothing: PFS has committed each change to its journal, with O_DIRECT, when the call returned.
func (h *handle) SyncDir(name string) error { return h.nothing("sync", name, false) }

// SyncFS does nothing, see SyncDir.
func (h *handle) SyncFS(name string) error { return h.nothing("sync", name, false) }

// Chmod does nothing: PFS has no modes.
func (h *handle) Chmod(name string, _ fs.FileMode) error { return h.nothing("chmod", name, true) }

func (h *handle) nothing(op, name string, write bool) error {
	_, err := h.d.resolve(name)
	if err == nil && h.closed.Load() {
		err = fs.ErrClosed
	}
	if err == nil && write && h.readOnly {
		err = syscall.EROFS
	}
	return pathError(op, name, err)
}

func (h *handle) Info() Info {
	return Info{Kind: KindPFS, Disk: h.d.opts.Disk, MaxIO: maxIO, Align: sector, ReadOnly: h.readOnly}
}

// Close gives this view back. Files that are still open through it fail with fs.ErrClosed from then on.
func (h *handle) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	return h.d.release(true)
}

// remoteInfo is what PFS knows of a file: no owner and no mode, and times in whole seconds.
type remoteInfo struct {
	name string
	st   sdk.Stat
}

func (i *remoteInfo) Name() string       { return i.name }
func (i *remoteInfo) Size() int64        { return i.st.Size }
func (i *remoteInfo) ModTime() time.Time { return time.Unix(i.st.MTime, 0) }
func (i *remoteInfo) IsDir() bool        { return i.st.Dir }
func (i *remoteInfo) Sys() any           { return nil }
func (i *remoteInfo) Mode() fs.FileMode {
	if i.st.Dir {
		return fs.ModeDir | 0o777
	}
	return 0o777
}
