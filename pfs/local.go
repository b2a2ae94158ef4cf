package pfs

import (
	"io/fs"
	"os"
	"sort"
	"syscall"
)

// Local returns the local file system. Close does nothing to it.
func Local() FS { return localFS{} }

type localFS struct{}

var (
	_ FS        = localFS{}
	_ SymlinkFS = localFS{}
	_ Syncer    = localFS{}
)

func (localFS) Open(name string, flag int, perm fs.FileMode) (File, error) {
	if flag&os.O_APPEND != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errAppend}
	}
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		return localFile{f}, nil // the kernel refuses a directory here
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return localFile{f}, nil
}

func (localFS) Rename(oldname, newname string) error {
	// os.Rename looks at newname first and calls a directory there "file exists"; the errno of the call itself is wanted.
	return linkError("rename", oldname, newname, ignoringEINTR(func() error { return syscall.Rename(oldname, newname) }))
}

func (localFS) Remove(name string) error {
	return pathError("remove", name, ignoringEINTR(func() error { return syscall.Unlink(name) }))
}

func (localFS) Rmdir(name string) error {
	return pathError("rmdir", name, ignoringEINTR(func() error { return syscall.Rmdir(name) }))
}

func (localFS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

func (localFS) ReadDir(name string) ([]DirEntry, error) {
	d, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	out := make([]DirEntry, len(list))
	for i, e := range list {
		out[i] = DirEntry{Name: e.Name(), Dir: e.IsDir(), Symlink: e.Type()&fs.ModeSymlink != 0}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func (localFS) Stat(name string) (fs.FileInfo, error)     { return os.Stat(name) }
func (localFS) Lstat(name string) (fs.FileInfo, error)    { return os.Lstat(name) }
func (localFS) Chmod(name string, perm fs.FileMode) error { return os.Chmod(name, perm) }
func (localFS) Symlink(target, name string) error         { return os.Symlink(target, name) }
func (localFS) Readlink(name string) (string, error)      { return os.Readlink(name) }

func (localFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (localFS) SyncFS(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return pathError("syncfs", name, syncFS(d))
}

func (localFS) Info() Info   { return Info{Kind: KindLocal, Symlinks: true} }
func (localFS) Close() error { return nil }

// localFile adds to os.File what it has not; reads and writes are its own (one pread or pwrite each).
type localFile struct{ *os.File }

func (f localFile) Allocate(off, n int64) error {
	if off < 0 || n <= 0 {
		return pathError("allocate", f.Name(), syscall.EINVAL)
	}
	return pathError("allocate", f.Name(), allocate(f.File, off, n))
}

func (f localFile) StartSync(off, n int64) error {
	return pathError("start sync of", f.Name(), startSync(f.File, off, n))
}

// extend makes a file at least size bytes long, for file systems that cannot reserve space.
func extend(f *os.File, size int64) error {
	st, err := f.Stat()
	if err != nil || st.Size() >= size {
		return err
	}
	return f.Truncate(size)
}
