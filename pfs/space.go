package pfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Geometry of PFS, as mkfs prints it ("2560 blktags, 2048 direntries, 2048 inodes per chunk").
const (
	chunkBytes     = 10 << 30
	blockBytes     = 4 << 20
	chunkBlocks    = chunkBytes / blockBytes
	chunkInodes    = 2048
	journalBlocks  = 256 // mkfs -l, 1 GiB by default
	paxosBlocks    = 1
	reservedInodes = 3 // the root, .pfs-paxos and .pfs-journal: a new disk of 20 GiB takes 4093 files and directories
)

// Space is what files take of a PBD.
type Space struct {
	Blocks     int64 // of 4 MiB
	Inodes     int64 // one for each file and directory
	Direntries int64 // one for each name, and one more for each 64 bytes after its first 63
}

// PlanFile is one file or directory that will be written.
type PlanFile struct {
	Size    int64 // bytes that are written; holes take no space
	NameLen int   // bytes of its last path element
	Dir     bool
}

// PlanSpace adds up what files and directories will take. The PFS library has no statfs: what a disk can hold must be computed before.
func PlanSpace(files iter.Seq[PlanFile]) Space {
	var s Space
	for f := range files {
		s.Inodes++
		s.Direntries += direntries(f.NameLen)
		if !f.Dir {
			s.Blocks += (f.Size + blockBytes - 1) / blockBytes
		}
	}
	return s
}

func direntries(nameLen int) int64 {
	if nameLen <= 63 {
		return 1
	}
	return 1 + int64(nameLen-63+63)/64
}

// Add returns the sum of two needs.
func (s Space) Add(o Space) Space {
	return Space{s.Blocks + o.Blocks, s.Inodes + o.Inodes, s.Direntries + o.Direntries}
}

// Sub returns what is left of s without o.
func (s Space) Sub(o Space) Space {
	return Space{s.Blocks - o.Blocks, s.Inodes - o.Inodes, s.Direntries - o.Direntries}
}

// ErrTooSmall is found in the errors of CheckSpace.
var ErrTooSmall = errors.New("the disk is too small")

type tooSmall string

func (e tooSmall) Error() string        { return string(e) }
func (e tooSmall) Is(target error) bool { return target == ErrTooSmall }

// Capacity returns what a PBD of size bytes can hold: PFS uses whole chunks of 10 GiB, of which it keeps one block each, and the journal.
func Capacity(size int64) Space {
	chunks := size / chunkBytes
	if chunks == 0 {
		return Space{}
	}
	return Space{
		Blocks:     chunks*(chunkBlocks-1) - paxosBlocks - journalBlocks,
		Inodes:     chunks*chunkInodes - reservedInodes,
		Direntries: chunks*chunkInodes - reservedInodes,
	}
}

// CheckSpace tells whether a PBD of size bytes on which used is taken can hold need; the error says what is missing and how large the disk
// must be.
func CheckSpace(disk string, size int64, used, need Space) error {
	have, all := Capacity(size), used.Add(need)
	if size < chunkBytes {
		return tooSmall(fmt.Sprintf("PFS disk %q has %s, PFS needs at least 10 GiB", disk, gib(size)))
	}
	var short []string
	tell := func(what string, need, used, have int64) {
		if need+used > have {
			short = append(short, fmt.Sprintf("%d %s are needed and %d of %d are free", need, what, max(have-used, 0), have))
		}
	}
	tell("blocks of 4 MiB", need.Blocks, used.Blocks, have.Blocks)
	tell("inodes", need.Inodes, used.Inodes, have.Inodes)
	tell("directory entries", need.Direntries, used.Direntries, have.Direntries)
	if short == nil {
		return nil
	}
	chunks := size/chunkBytes + 1
	for fits := false; !fits; chunks++ {
		c := Capacity(chunks * chunkBytes)
		fits = all.Blocks <= c.Blocks && all.Inodes <= c.Inodes && all.Direntries <= c.Direntries
	}
	return tooSmall(fmt.Sprintf("PFS disk %q (%s, used in chunks of 10 GiB) is too small: %s; it must have at least %d GiB (enlarge it and run "+
		"pfs growfs), or remove files", disk, gib(size), strings.Join(short, ", "), (chunks-1)*10))
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// DiskSize returns the bytes of a PBD, from its block device on this host. Clients of pfsd often may not read the device itself: then the kernel's
// word for it is taken, which everybody may read.
func DiskSize(disk string) (int64, error) {
	name := "/dev/" + disk
	if m, ok := strings.CutPrefix(disk, "mapper_"); ok {
		name = "/dev/mapper/" + m
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		return sysfsSize(disk, name)
	}
	if err != nil {
		return 0, fmt.Errorf("could not find the size of PFS disk %q: %w", disk, err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("could not find the size of PFS disk %q: %w", disk, err)
	}
	return size, nil
}

// sysfsSize reads the size of the block device at a path below /dev from sysfs, which has it in units of 512 bytes.
func sysfsSize(disk, name string) (int64, error) {
	device, err := filepath.EvalSymlinks(name)
	if err != nil {
		return 0, fmt.Errorf("could not find the size of PFS disk %q: %w", disk, err)
	}
	b, err := os.ReadFile("/sys/class/block/" + filepath.Base(device) + "/size")
	if err != nil {
		return 0, fmt.Errorf("could not find the size of PFS disk %q: %w", disk, err)
	}
	sectors, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("could not find the size of PFS disk %q: %w", disk, err)
	}
	return sectors * 512, nil
}

// Usage counts what is taken below dir on PFS, with dir itself, one call for each file. On the root of a disk it is all that is used of it.
func Usage(f FS, dir string) (Space, error) {
	st, err := f.Stat(dir)
	if err != nil {
		return Space{}, err
	}
	s := Space{Inodes: 1, Direntries: direntries(len(path.Base(dir)))}
	if i := f.Info(); path.Clean(dir) == "/"+i.Disk {
		s = Space{} // the root has no entry of its own
	}
	if !st.IsDir() {
		s.Blocks = blocksOf(st)
		return s, nil
	}
	entries, err := f.ReadDir(dir)
	if err != nil {
		return Space{}, err
	}
	for _, e := range entries {
		u, err := Usage(f, strings.TrimSuffix(dir, "/")+"/"+e.Name)
		if err != nil {
			return Space{}, err
		}
		s = s.Add(u)
	}
	return s, nil
}

// blocksOf is how many blocks a file has, or would have when it is not on PFS.
func blocksOf(st os.FileInfo) int64 {
	if i, ok := st.(*remoteInfo); ok {
		return i.st.Blocks * 512 / blockBytes
	}
	return (st.Size() + blockBytes - 1) / blockBytes
}
