package storage

import (
	"errors"
	"io/fs"

	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// sharedDirs is about how many directories a shared tree has beside one for each database.
const sharedDirs = 24

// checkSpace refuses a PFS disk that cannot hold the shared tree, before the target is taken: a command that is repeated looks again. PFS cannot be
// asked what is free: that is computed from the device's size and what is there already. Where the source could not count its files only their bytes
// and the least possible number of blocks, inodes and names are looked at. Where this process may not look at the device nothing is checked.
func checkSpace(cfg Config, st pipeline.State, l *target.Layout) error {
	f, dir := l.Shared()
	if f == nil || f.Info().Kind != pfs.KindPFS || st.Targets[cfg.Target.Name].Opened != nil { // when it is continued, a part of it is there
		return nil
	}
	disk := f.Info().Disk
	size, err := pfs.DiskSize(disk)
	if err != nil {
		cfg.Logger.Debug("the free space of the disk is not checked", "disk", disk, "error", err)
		return nil
	}
	need, bytes := sharedNeed(st)
	used, err := pfs.Usage(f, "/"+disk+"/")
	if err != nil {
		return err
	}
	own, err := pfs.Usage(f, dir) // another process of this target may have begun
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	used = used.Sub(own)
	cfg.Logger.Info("the shared data goes to a PFS disk", "directory", dir, "bytes", bytes, "disk_bytes", size)
	return pfs.CheckSpace(disk, size, used, need)
}

// sharedNeed is what the shared tree will take of a PFS disk, and how many bytes it has.
func sharedNeed(st pipeline.State) (need pfs.Space, bytes int64) {
	wal := 2 * st.Prepared.WALSegmentSize
	for _, t := range st.Session().Started.Tablespaces {
		if !t.Shared {
			continue
		}
		size := max(t.SizeKB, 0) << 10
		bytes += size
		if t.Files > 0 {
			need = need.Add(pfs.Space{Blocks: t.Blocks, Inodes: t.Files, Direntries: t.Files})
		} else {
			need = need.Add(pfs.Space{Blocks: (size + pfsBlock - 1) / pfsBlock, Inodes: sharedDirs, Direntries: sharedDirs})
		}
	}
	return need.Add(pfs.Space{Blocks: (wal + pfsBlock - 1) / pfsBlock, Inodes: walNames, Direntries: walNames}), bytes + wal
}

// walNames is how many files WAL takes at least: two segments and the status of one.
const walNames = 3

// pfsBlock is PFS's unit of allocation in bytes.
const pfsBlock = 4 << 20
