package storage

import (
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// sharedDirs is about how many directories a shared tree has beside one for each database.
const sharedDirs = 24

// checkSpace refuses a PFS disk that cannot hold the shared tree, before the copy. PFS cannot be asked what is free: that is computed from the
// device's size and what is there already. The number of files is not known before they are read, so only their bytes and the least possible
// number of blocks, inodes and names are counted. Where this process may not look at the device nothing is checked.
func (s *Stage) checkSpace(st pipeline.State, l *target.Layout) error {
	f, dir := l.Shared()
	if f == nil || f.Info().Kind != pfs.KindPFS || st.Targets[s.cfg.Target.Name].Opened != nil && st.Session().Started.Session > 1 {
		return nil
	}
	disk := f.Info().Disk
	size, err := pfs.DiskSize(disk)
	if err != nil {
		s.cfg.Logger.Debug("the free space of the disk is not checked", "disk", disk, "error", err)
		return nil
	}
	bytes := int64(0)
	for _, t := range st.Session().Started.Tablespaces {
		if t.Shared {
			bytes += max(t.SizeKB, 0) << 10
		}
	}
	bytes += 2 * st.Prepared.WALSegmentSize
	need := pfs.Space{Blocks: (bytes + pfsBlock - 1) / pfsBlock, Inodes: sharedDirs, Direntries: sharedDirs}
	used, err := pfs.Usage(f, "/"+disk+"/")
	if err != nil {
		return err
	}
	s.cfg.Logger.Info("the shared data goes to a PFS disk", "directory", dir, "bytes", bytes, "disk_bytes", size)
	return pfs.CheckSpace(disk, size, used, need)
}

// pfsBlock is PFS's unit of allocation in bytes.
const pfsBlock = 4 << 20
