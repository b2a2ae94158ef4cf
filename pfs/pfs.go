package pfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
)

// FS is one file system: the local one (Local) or one PBD of PFS (Mount). Values are comparable, so an FS may be part of a map key.
//
// All methods may be called at the same time from any number of goroutines. Errors are *fs.PathError or *os.LinkError, and errors.Is
// finds the errno as well as fs.ErrNotExist, fs.ErrExist and fs.ErrClosed in them. Paths are absolute; on PFS they start with
// /<disk>/, and a path that does not is refused before the library sees it.
type FS interface {
	// Open opens a file. flag takes os.O_RDONLY, O_WRONLY, O_RDWR with O_CREATE, O_EXCL and O_TRUNC; os.O_APPEND is refused, since it
	// makes pfsd abort. Opening a directory is an error (EISDIR). perm is for a created file and means nothing on PFS.
	Open(name string, flag int, perm fs.FileMode) (File, error)
	// Rename puts a file or an empty directory in the place of newname, atomically.
	Rename(oldname, newname string) error
	// Remove unlinks one file (or symbolic link); a directory is EISDIR.
	Remove(name string) error
	// Rmdir removes one empty directory; ENOTEMPTY when it is not, ENOTDIR when it is no directory.
	Rmdir(name string) error
	// Mkdir makes one directory; its parent must exist.
	Mkdir(name string, perm fs.FileMode) error
	// ReadDir lists a directory as it is at one moment, sorted by name, without "." and "..", and without PFS's own .pfs-* files.
	ReadDir(name string) ([]DirEntry, error)
	// Stat follows symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable. PFS commits each change of a directory before the call returns: nothing to do there.
	SyncDir(name string) error
	// Chmod sets the permission bits. PFS has none (everything is 0777): nothing is done there.
	Chmod(name string, perm fs.FileMode) error
	// Info tells what this file system can do.
	Info() Info
	// Close gives the file system back: on PFS the last Close of a disk unmounts it. A second Close of the same FS does nothing.
	Close() error
}

// File is one open file. ReadAt and WriteAt take any offset and length, and may run at the same time on the same file. On PFS, writes
// whose offset or length is not a multiple of Info().Align are made one at a time for each file of this process (pfsd reads, changes
// and writes whole 4096-byte sectors without a lock); two processes must never write into the same sector.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Truncate sets the size in bytes, with a hole when it grows.
	Truncate(size int64) error
	// Allocate reserves n bytes at off, so that writing there cannot run out of space, and makes the file at least off+n bytes long. Where
	// the local file system cannot reserve, only the size is set.
	Allocate(off, n int64) error
	// Sync returns when data and size are durable.
	Sync() error
	// StartSync begins to write n bytes from off (0: up to the end) to the device and does not wait: a later Sync has less to do. It is
	// advice, nothing depends on it.
	StartSync(off, n int64) error
	Stat() (fs.FileInfo, error)
	// Close releases the descriptor; a second Close is fs.ErrClosed.
	Close() error
}

// DirEntry is one name of a directory.
type DirEntry struct {
	Name    string
	Dir     bool
	Symlink bool // only on file systems with Info().Symlinks
}

// Kinds of file systems, in Info.Kind.
const (
	KindLocal = "local"
	KindPFS   = "pfs"
)

// Info is what a caller must know to use a file system well.
type Info struct {
	Kind     string // KindLocal or KindPFS
	Disk     string // PFS: the PBD's name, the first element of every path; empty on the local file system
	MaxIO    int    // bytes of the largest single call; longer reads and writes are cut by this package. 0: no limit
	Align    int    // offsets and lengths that are multiples of this many bytes are written in parallel. 0: all are
	Symlinks bool   // whether SymlinkFS is implemented
	ReadOnly bool   // writes are refused with EROFS
}

// SymlinkFS is implemented by file systems that have symbolic links.
type SymlinkFS interface {
	Symlink(target, name string) error
	Readlink(name string) (string, error)
	// Lstat is Stat of the link itself.
	Lstat(name string) (fs.FileInfo, error)
}

// Syncer is implemented by file systems that can be synchronised as a whole.
type Syncer interface {
	// SyncFS makes everything durable that was written to the file system that holds name.
	SyncFS(name string) error
}

// MkdirAll makes name and its missing parents. It is no error when name is a directory already.
func MkdirAll(f FS, name string, perm fs.FileMode) error {
	name = path.Clean(name)
	if st, err := f.Stat(name); err == nil {
		if st.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	}
	if i := strings.LastIndexByte(name, '/'); i > 0 && !atRoot(f, name) {
		if err := MkdirAll(f, name[:i], perm); err != nil {
			return err
		}
	}
	err := f.Mkdir(name, perm)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Another goroutine or process may have made it meanwhile.
	if st, serr := f.Stat(name); serr != nil || !st.IsDir() {
		return err
	}
	return nil
}

// atRoot tells whether name has no parent on f: "/<disk>" is the root of a PBD, "/" is nothing there.
func atRoot(f FS, name string) bool {
	i := f.Info()
	return i.Disk != "" && name == "/"+i.Disk
}

// RemoveAll removes name and, when it is a directory, all that it holds; symbolic links are removed, not followed. It is no error when
// name does not exist. Directories are listed before anything in them is removed, since PFS may skip names otherwise.
func RemoveAll(f FS, name string) error {
	err := f.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !errors.Is(err, syscall.EISDIR) && !errors.Is(err, syscall.EPERM) {
		return err
	}
	return removeDir(f, name)
}

func removeDir(f FS, name string) error {
	entries, err := f.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := strings.TrimSuffix(name, "/") + "/" + e.Name
		if e.Dir {
			err = removeDir(f, child)
		} else if err = f.Remove(child); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if err := f.Rmdir(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
