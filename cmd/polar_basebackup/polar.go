package main

import (
	"context"
	"strings"

	"polarcast/internal/cli/basebackup"
	"polarcast/internal/dropin"
	"polarcast/pfs"
	"polarcast/stages/node"
)

// polar sets what belongs to PolarDB and to nodes.
func polar(o *basebackup.Options, u *ui, d *dropin.Options) {
	m := pfs.MountOptions{Library: o.PFSDLibrary, Cluster: o.PolarCluster, HostID: o.PolarHostID, Logger: d.Logger}
	d.Files.PFS = m
	if o.PolarDiskName != "" {
		m.Disk, d.Disk = o.PolarDiskName, o.PolarDiskName
		d.Mount = func(ctx context.Context) (pfs.FS, error) { return pfs.Mount(ctx, m) }
		d.ForceMount = o.ForceMount
	}
	s := &d.Settings
	s.HostID, s.Cluster, s.Start, s.SQL = o.PolarHostID, o.PolarCluster, o.Start, d.Files.ConnectSQL
	for _, p := range o.Set {
		s.Set = append(s.Set, node.Setting{Name: p.Name, Value: p.Value})
	}
	s.OnDiff = func(diff string) {
		u.m.Verbose("changed the configuration:\n%s", strings.TrimSuffix(diff, "\n"))
	}
	if o.LocalIs != "full" {
		d.Request.Options.Local = o.LocalIs
	}
	if o.PolarDiskName != "" {
		d.Request.Options.EstimateSize = !o.NoEstimateSize // the disk's room is looked at before the copy
	}
}
