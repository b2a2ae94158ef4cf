package pfs

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// MountOptions says which PBD is mounted, and how.
type MountOptions struct {
	// Library is the file of libpfsd; empty: libpfsd.so and libpfsd_test.so where the dynamic linker looks, then in
	// /usr/local/polarstore/pfsd/lib.
	Library string
	// Cluster is the storage cluster's name; empty: "disk", the only one that the open build of pfsd knows.
	Cluster string
	// Disk is the PBD: the name of a block device below /dev ("mapper_x" is /dev/mapper/x), at most 63 bytes.
	Disk string
	// HostID is this client's number, 1 to 254 and at most what the PBD was formatted for (pfs mkfs -u, 30 by default). A read-write
	// mount needs one that no other client of this pfsd uses.
	HostID int
	// ReadOnly mounts for reading; every change is EROFS.
	ReadOnly bool
	// Timeout is how long the mount waits for pfsd to answer; 0: 20 seconds.
	Timeout time.Duration
	// StallAfter is how long a call may take before it is reported that pfsd does not answer; 0: 5 seconds. Calls cannot be cancelled.
	StallAfter time.Duration
	// RunDir is where pfsd keeps its pid files; empty: $PFSD_RUN_DIR, and else /var/run/pfsd. It must be pfsd's own directory, and this
	// process must be in pfsd's PID namespace.
	RunDir string
	// Logger gets what happens to the mount, and the library's own lines; nil: slog.Default().
	Logger *slog.Logger
	// SDKLog, when it is set, gets each line of the library ("ERR pfsd_open 482: …") instead of Logger. It must return quickly.
	SDKLog func(line string)
}

const (
	defaultTimeout    = 20 * time.Second
	defaultStallAfter = 5 * time.Second
	defaultRunDir     = "/var/run/pfsd"
)

// closeTimeout is how long the last Close waits for running calls and for pfsd before it leaves the unmount to the background.
var closeTimeout = 10 * time.Second

func (o *MountOptions) complete() error {
	switch {
	case o.Disk == "":
		return fmt.Errorf("could not mount PFS: no disk name given; it is what polar_disk_name says on the server")
	case len(o.Disk) > 63 || strings.ContainsAny(o.Disk, "/\x00") || o.Disk == "." || o.Disk == "..":
		return fmt.Errorf("could not mount PFS disk %q: a disk name has at most 63 bytes and no slash (/dev/nvme1n1 is nvme1n1, /dev/mapper/x is mapper_x)", o.Disk)
	case o.HostID < 1 || o.HostID > 254:
		return fmt.Errorf("could not mount PFS disk %q: host id %d is not in 1 to 254 (and at most what pfs mkfs -u said, 30 by default)", o.Disk, o.HostID)
	}
	o.Cluster = cmp.Or(o.Cluster, "disk")
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.StallAfter = cmp.Or(o.StallAfter, defaultStallAfter)
	o.RunDir = cmp.Or(o.RunDir, os.Getenv("PFSD_RUN_DIR"), defaultRunDir)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// process holds the one PBD of this process: libpfsd keeps a single connection, and answers a mount of a second PBD with success while it
// does nothing (pfsd_sdk_init of pfsd_sdk.cc).
var process struct {
	sync.Mutex
	disk *disk
}

// Mount attaches a PBD through pfsd, or shares the mount that this process has of the same PBD: it is given back when each FS that was
// returned is closed. A PBD must be attached through one pfsd on one host only when anything is written: PFS does not notice a second host,
// and the file system is destroyed.
//
// When ctx ends first, Mount returns its error, and what the library still does is undone as soon as it comes back.
func Mount(ctx context.Context, o MountOptions) (FS, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	for {
		h, wait, err := attach(o)
		if err != nil {
			return nil, err
		}
		if h == nil { // an earlier mount is being given back
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("could not mount PFS disk %q: an earlier mount is not released yet: %w", o.Disk, context.Cause(ctx))
			}
		}
		select {
		case <-wait:
			if h.d.failed != nil {
				return nil, h.d.failed
			}
			return h, nil
		case <-ctx.Done():
			h.closed.Store(true)
			h.d.release(false)
			return nil, fmt.Errorf("could not mount PFS disk %q: %w", o.Disk, context.Cause(ctx))
		}
	}
}

// WaitUnmounted returns when this process does not have the disk mounted any more: each FS of it was closed, and pfsd has let it go. Another client,
// such as a server, may have its host id then.
func WaitUnmounted(ctx context.Context, disk string) error {
	process.Lock()
	d := process.disk
	process.Unlock()
	if d == nil || d.opts.Disk != disk {
		return nil
	}
	select {
	case <-d.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("PFS disk %q is still mounted by this process: %w", disk, context.Cause(ctx))
	}
}

// attach joins the process's mount or begins one. wait is closed when the mount is there (or, without a handle, when the old one is gone).
func attach(o MountOptions) (h *handle, wait <-chan struct{}, err error) {
	process.Lock()
	defer process.Unlock()
	d := process.disk
	if d == nil {
		d = newDisk(o)
		process.disk = d
		go d.mount()
		return &handle{d: d, readOnly: o.ReadOnly}, d.ready, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return nil, d.gone, nil
	}
	if err := d.opts.shares(o); err != nil {
		return nil, nil, err
	}
	d.refs++
	return &handle{d: d, readOnly: o.ReadOnly}, d.ready, nil
}

// shares tells whether a mount with these options also serves o.
func (m *MountOptions) shares(o MountOptions) error {
	switch {
	case m.Disk != o.Disk:
		return fmt.Errorf("could not mount PFS disk %q: this process has disk %q mounted, and libpfsd can serve one disk a process; "+
			"start another process for the other disk", o.Disk, m.Disk)
	case m.HostID != o.HostID || m.Cluster != o.Cluster:
		return fmt.Errorf("could not mount PFS disk %q with host id %d in cluster %q: this process has it mounted with host id %d in cluster %q",
			o.Disk, o.HostID, o.Cluster, m.HostID, m.Cluster)
	case m.ReadOnly && !o.ReadOnly:
		return fmt.Errorf("could not mount PFS disk %q for writing: this process has it mounted read-only; close that mount first", o.Disk)
	}
	return nil
}
