package pfs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"polarcast/pfs/internal/sdk"
)

// Calls that are inside the library at the same time. Each holds one thread of this process and one of pfsd's shared request slots, of
// which there are 16 for calls of more than 1 MiB, for all clients together, the database included; without a slot a call spins.
const (
	maxCalls    = 16
	maxBigCalls = 4
	bigCall     = 1 << 20 // bytes
)

// disk is a PBD that this process has mounted, or mounts, or gives back.
type disk struct {
	opts  MountOptions
	log   *slog.Logger
	ready chan struct{} // closed when mounted or failed
	gone  chan struct{} // closed when unmounted
	// failed is why the mount failed; valid when ready is closed.
	failed error

	calls, bigCalls chan struct{} // semaphores

	mu      sync.Mutex
	idle    sync.Cond // signalled when a call has ended
	refs    int
	closing bool
	running map[*call]struct{}
	inodes  map[uint64]*inode
	errors  []string // ERR lines of the library while it mounts
}

// call is one call that is inside the library.
type call struct {
	op, path string
	start    time.Time
}

// inode serialises ragged writes to one file, whichever of this process's descriptors they use.
type inode struct {
	ragged sync.Mutex
	refs   int
}

func newDisk(o MountOptions) *disk {
	d := &disk{opts: o, log: o.Logger.With("disk", o.Disk), refs: 1,
		ready: make(chan struct{}), gone: make(chan struct{}),
		calls: make(chan struct{}, maxCalls), bigCalls: make(chan struct{}, maxBigCalls),
		running: map[*call]struct{}{}, inodes: map[uint64]*inode{}}
	d.idle.L = &d.mu
	return d
}

// do runs one call of the library for a handle. n is the number of bytes that it moves.
func (h *handle) do(op, path string, n int, run func() error) error {
	if h.closed.Load() {
		return fs.ErrClosed
	}
	return h.d.do(op, path, n, run)
}

func (d *disk) do(op, path string, n int, run func() error) error {
	if n > bigCall {
		d.bigCalls <- struct{}{}
		defer func() { <-d.bigCalls }()
	}
	d.calls <- struct{}{}
	defer func() { <-d.calls }()
	c := &call{op: op, path: path, start: time.Now()}
	d.mu.Lock()
	if d.closing {
		d.mu.Unlock()
		return fs.ErrClosed
	}
	d.running[c] = struct{}{}
	d.mu.Unlock()
	err := run()
	count(op, n, time.Since(c.start), err)
	d.end(c)
	return explain(err, d.opts.Disk)
}

func (d *disk) end(c *call) {
	d.mu.Lock()
	delete(d.running, c)
	d.idle.Broadcast()
	d.mu.Unlock()
}

// release gives one reference back; the last one unmounts. With wait it returns when that is done or closeTimeout is over.
func (d *disk) release(wait bool) error {
	d.mu.Lock()
	d.refs--
	last := d.refs == 0
	if last {
		d.closing = true
	}
	d.mu.Unlock()
	if !last {
		return nil
	}
	result := make(chan error, 1)
	go func() { result <- d.umount() }()
	if !wait {
		return nil
	}
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		return fmt.Errorf("could not unmount PFS disk %q within %v: pfsd does not answer; the mount ends with this process, "+
			"or when pfsd is back", d.opts.Disk, closeTimeout)
	}
}

// umount waits for the calls that run, since the library refuses to unmount under them.
func (d *disk) umount() error {
	<-d.ready
	if d.failed != nil {
		return nil
	}
	d.mu.Lock()
	for len(d.running) > 0 {
		d.idle.Wait()
	}
	c := &call{op: "umount", path: "/" + d.opts.Disk, start: time.Now()}
	d.running[c] = struct{}{}
	d.mu.Unlock()
	var err error
	for {
		if err = sdk.Umount(d.opts.Disk); !errors.Is(err, syscall.EAGAIN) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	sdk.Drained()
	d.end(c)
	close(d.gone)
	process.Lock()
	if process.disk == d {
		process.disk = nil
	}
	process.Unlock()
	if err != nil {
		return fmt.Errorf("could not unmount PFS disk %q: %w", d.opts.Disk, explain(err, d.opts.Disk))
	}
	d.log.Debug("unmounted PFS disk")
	return nil
}

// openInode returns what all descriptors of one file share; closeInode gives it back.
func (d *disk) openInode(ino uint64) *inode {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.inodes[ino]
	if i == nil {
		i = &inode{}
		d.inodes[ino] = i
	}
	i.refs++
	return i
}

func (d *disk) closeInode(ino uint64, i *inode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i.refs--; i.refs == 0 && d.inodes[ino] == i {
		delete(d.inodes, ino)
	}
}
