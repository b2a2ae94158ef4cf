// Package sdk calls the C library of PolarDB FileSystem, libpfsd, which is loaded with dlopen when it is first needed: programs build
// without the SDK and run where it is not installed. Each function is one call of the library and nothing more; package pfs knows the
// rules by which they may be called (sizes, alignment, one mount a process).
//
// Source of the interface: src/pfs_sdk/pfsd_sdk.h of ApsaraDB/PolarDB-FileSystem, meta version 2.
package sdk

import (
	"strconv"
	"syscall"
)

// Flags of Mount (MNTFLG_RD, MNTFLG_WR and MNTFLG_LOG of pfsd_sdk.h). PFS_TOOL is not offered: it puts a log file over descriptor 2.
const (
	ReadOnly  = 0x11
	ReadWrite = 0x13
)

// MetaVersion is what pfsd_meta_version_get says of the library that this package was written for.
const MetaVersion = 2

// TooMany is PFS's own errno for used up inodes or directory entries (EPFS_FILE_2MANY).
const TooMany syscall.Errno = 1001

// Unknown stands for a call that failed and left no errno.
const Unknown syscall.Errno = 4095

// Stat is what PFS knows of a file.
type Stat struct {
	Dir    bool
	Size   int64 // bytes; of a directory 128 for each entry
	Blocks int64 // 512-byte units, always whole 4 MiB blocks
	Ino    uint64
	MTime  int64 // seconds; changes with size and allocation, not when bytes are overwritten
}

// Entry is one name of a directory.
type Entry struct {
	Name string
	Dir  bool
}

// candidates are the names that are tried in this order when no library was told.
var candidates = []string{"libpfsd.so", "libpfsd_test.so", "/usr/local/polarstore/pfsd/lib/libpfsd.so",
	"/usr/local/polarstore/pfsd/lib/libpfsd_test.so"}

func errnoOf(n int64) error {
	if n >= 0 {
		return nil
	}
	return syscall.Errno(-n)
}

// versionError says that a library is not the one that this package knows.
type versionError struct {
	path string
	have uint64
}

func (e *versionError) Error() string {
	return e.path + " has meta version " + strconv.FormatUint(e.have, 10) + ", this program knows version " +
		strconv.Itoa(MetaVersion) + "; use the libpfsd that belongs to your pfsd of PolarDB FileSystem 1.2"
}
