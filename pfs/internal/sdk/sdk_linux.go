//go:build cgo

package sdk

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "sdk.h"
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"
)

var loaded struct {
	sync.Mutex
	path, build string
}

// Load loads libpfsd: the file that path names, or when it is empty the first of the usual names that can be loaded. A process has one
// libpfsd for its whole life: a second Load of another path is refused. It returns what was loaded and the library's build string.
func Load(path string) (file, build string, err error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.path != "" {
		if path != "" && path != loaded.path {
			return "", "", fmt.Errorf("could not load %s: this process uses %s already, and can use only one libpfsd", path, loaded.path)
		}
		return loaded.path, loaded.build, nil
	}
	names := candidates
	if path != "" {
		names = []string{path}
	}
	var tried []string
	for _, name := range names {
		if err := load(name); err != nil {
			tried = append(tried, err.Error())
			continue
		}
		var meta C.uint64_t
		build := C.GoString(C.polarcast_pfsd_version(&meta))
		if meta != MetaVersion {
			return "", "", &versionError{name, uint64(meta)}
		}
		loaded.path, loaded.build = name, build
		return name, build, nil
	}
	return "", "", errors.New("could not load the PFS client library: " + strings.Join(tried, "; "))
}

func load(name string) error {
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	msg := (*C.char)(C.calloc(1, 1024))
	defer C.free(unsafe.Pointer(msg))
	if C.polarcast_pfsd_load(cname, msg, 1024) != 0 {
		return errors.New(C.GoString(msg))
	}
	return nil
}

// Prepare must be called before each Mount. runDir is where pfsd keeps its pid files; a mount waits about twice timeoutMS.
func Prepare(runDir string, timeoutMS int) {
	dir := C.CString(runDir)
	defer C.free(unsafe.Pointer(dir))
	C.polarcast_pfsd_prepare(dir, C.int(timeoutMS))
}

// Mount attaches a PBD. The errno says little: the reason is in the library's log lines.
func Mount(cluster, pbd string, hostID, flags int) error {
	c, p := C.CString(cluster), C.CString(pbd)
	defer C.free(unsafe.Pointer(c))
	defer C.free(unsafe.Pointer(p))
	return errnoOf(int64(C.polarcast_pfsd_mount(c, p, C.int(hostID), C.int(flags))))
}

// Umount detaches it; EAGAIN while calls run.
func Umount(pbd string) error {
	return withPath(pbd, func(p *C.char) C.int64_t { return C.polarcast_pfsd_umount(p) })
}

// Open returns a descriptor of the library (not of the kernel).
func Open(path string, flags int) (int, error) {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	n := int64(C.polarcast_pfsd_open(p, C.int(flags)))
	return int(n), errnoOf(n)
}

// Close releases a descriptor.
func Close(fd int) error { return errnoOf(int64(C.polarcast_pfsd_close(C.int(fd)))) }

// Pread reads at most 4 MiB; it is short only at the end of the file.
func Pread(fd int, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := int64(C.polarcast_pfsd_pread(C.int(fd), unsafe.Pointer(&p[0]), C.size_t(len(p)), C.int64_t(off)))
	return int(max(n, 0)), errnoOf(n)
}

// Pwrite writes at most 4 MiB, all of it or nothing.
func Pwrite(fd int, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := int64(C.polarcast_pfsd_pwrite(C.int(fd), unsafe.Pointer(&p[0]), C.size_t(len(p)), C.int64_t(off)))
	return int(max(n, 0)), errnoOf(n)
}

// Ftruncate sets a file's size.
func Ftruncate(fd int, size int64) error {
	return errnoOf(int64(C.polarcast_pfsd_ftruncate(C.int(fd), C.int64_t(size))))
}

// Fallocate gives blocks to a range and makes the file as long as its end.
func Fallocate(fd int, off, n int64) error {
	return errnoOf(int64(C.polarcast_pfsd_fallocate(C.int(fd), C.int64_t(off), C.int64_t(n))))
}

// StatPath and StatFD describe a file.
func StatPath(path string) (Stat, error) {
	var st C.struct_polarcast_pfsd_stat
	err := withPath(path, func(p *C.char) C.int64_t { return C.polarcast_pfsd_stat_path(p, &st) })
	return statOf(st), err
}

// StatFD describes an open file; ENOENT when it was unlinked or replaced.
func StatFD(fd int) (Stat, error) {
	var st C.struct_polarcast_pfsd_stat
	err := errnoOf(int64(C.polarcast_pfsd_stat_fd(C.int(fd), &st)))
	return statOf(st), err
}

func statOf(st C.struct_polarcast_pfsd_stat) Stat {
	return Stat{Dir: st.dir != 0, Size: int64(st.size), Blocks: int64(st.blocks), Ino: uint64(st.ino), MTime: int64(st.mtime)}
}

// Mkdir, Rmdir, Unlink and Rename change names.
func Mkdir(path string) error {
	return withPath(path, func(p *C.char) C.int64_t { return C.polarcast_pfsd_mkdir(p) })
}

// Rmdir removes an empty directory.
func Rmdir(path string) error {
	return withPath(path, func(p *C.char) C.int64_t { return C.polarcast_pfsd_rmdir(p) })
}

// Unlink removes a file; its open descriptors fail from then on.
func Unlink(path string) error {
	return withPath(path, func(p *C.char) C.int64_t { return C.polarcast_pfsd_unlink(p) })
}

// Rename replaces what newpath names.
func Rename(oldpath, newpath string) error {
	n := C.CString(newpath)
	defer C.free(unsafe.Pointer(n))
	return withPath(oldpath, func(p *C.char) C.int64_t { return C.polarcast_pfsd_rename(p, n) })
}

// List reads a directory to its end, in the order of PFS.
func List(path string) ([]Entry, error) {
	var list *C.char
	var n C.size_t
	err := withPath(path, func(p *C.char) C.int64_t { return C.polarcast_pfsd_list(p, &list, &n) })
	defer C.free(unsafe.Pointer(list))
	if err != nil {
		return nil, err
	}
	var out []Entry
	for b := C.GoBytes(unsafe.Pointer(list), C.int(n)); len(b) > 1; {
		end := bytes.IndexByte(b, 0)
		out = append(out, Entry{Name: string(b[1:end]), Dir: b[0] == 2})
		b = b[end+1:]
	}
	return out, nil
}

func withPath(path string, call func(*C.char) C.int64_t) error {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	return errnoOf(int64(call(p)))
}
