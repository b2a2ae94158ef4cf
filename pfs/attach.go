package pfs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"polarcast/pfs/internal/sdk"
)

// mount does what Mount began, and closes ready.
func (d *disk) mount() {
	d.failed = d.tryMount()
	if d.failed != nil {
		process.Lock()
		if process.disk == d {
			process.disk = nil
		}
		process.Unlock()
		d.mu.Lock()
		d.closing = true
		d.mu.Unlock()
		close(d.gone)
	} else {
		go d.watch()
	}
	close(d.ready)
}

func (d *disk) tryMount() error {
	o := &d.opts
	fail := func(format string, args ...any) error {
		return fmt.Errorf("could not mount PFS disk %q: %w", o.Disk, fmt.Errorf(format, args...))
	}
	lib, build, err := sdk.Load(o.Library)
	if err != nil {
		return fail("%w; install the PFS SDK, or name the file with --pfsd-lib", err)
	}
	if err := sdk.Capture(d.sdkLine); err != nil {
		d.log.Debug("the lines of libpfsd stay on stderr", "error", err)
	}
	// The library counts its sleeps and not the time: it waits about twice as long as it is told.
	sdk.Prepare(o.RunDir, max(int(o.Timeout.Milliseconds()/2), 1))
	if running, why := pfsdRuns(o.RunDir, o.Disk); !running {
		return fail("pfsd does not run for this disk (%s); start it with start_pfsd.sh -p %s on this host", why, o.Disk)
	}
	if err := removeOwnPidFile(o.RunDir, o.Disk); err != nil {
		return fail("%w", err)
	}
	if n := clients(o.RunDir, o.Disk); n >= maxClients-1 {
		return fail("its pfsd has %d clients; it can serve %d and hangs for all when one more comes, and one place is left to the database; "+
			"end another program that uses the disk", n, maxClients)
	}
	flags := sdk.ReadWrite
	if o.ReadOnly {
		flags = sdk.ReadOnly
	}
	start := time.Now()
	if err := sdk.Mount(o.Cluster, o.Disk, o.HostID, flags); err != nil {
		sdk.Drained()
		// The library leaves its pid file after a timeout, and would spin on it for ever in the next mount.
		_ = removeOwnPidFile(o.RunDir, o.Disk)
		return fail("%s", d.mountReason(err, time.Since(start)))
	}
	d.log.Debug("mounted PFS disk", "host_id", o.HostID, "read_only", o.ReadOnly, "library", lib, "build", build)
	return nil
}

var connectFailed = regexp.MustCompile(`Connect failed err (-?\d+)`)

var aboutNames = regexp.MustCompile(`(File exists|Is a directory|Not a directory|No such file or directory|Directory not empty|in cleanup)$`)

// mountReason finds the reason in what the library printed: pfsd_mount leaves no errno.
func (d *disk) mountReason(err error, took time.Duration) string {
	d.mu.Lock()
	lines := d.errors
	d.errors = nil
	d.mu.Unlock()
	o := &d.opts
	all := strings.Join(lines, "\n")
	code := 0
	if m := connectFailed.FindStringSubmatch(all); m != nil {
		code, _ = strconv.Atoi(m[1])
	}
	switch {
	case strings.Contains(all, "cant open file /var/run/pfs/"), strings.Contains(all, "Failed create pidfile: Permission denied"):
		return fmt.Sprintf("the directories /var/run/pfs and %s must exist and be writable for all (mode 777), as start_pfsd.sh makes them", o.RunDir)
	case code == -228:
		return fmt.Sprintf("host id %d is higher than the disk was formatted for; take a lower one (pfs mkfs -u says the limit, 30 by default)", o.HostID)
	case code == -22:
		return fmt.Sprintf("host id %d is in use by another client of this pfsd; take another host id, or end that client "+
			"(after a kill, its child processes may still hold it)", o.HostID)
	case code == -111:
		return "pfsd has too many clients"
	case code == -5:
		return fmt.Sprintf("pfsd does not know cluster %q or disk %q, or cannot read the disk; see /var/log/pfsd-%s/pfsd.log", o.Cluster, o.Disk, o.Disk)
	case code == -1 && took >= o.Timeout/2:
		return fmt.Sprintf("pfsd did not answer within %v; it may be down, or have more than %d clients (then restart it)",
			took.Round(time.Second/10), maxClients)
	case len(lines) > 0:
		return fmt.Sprintf("%v (libpfsd says: %s)", err, lines[len(lines)-1])
	}
	return err.Error()
}

// sdkLine gets each line that the library prints, with its level: INF is for debugging, ERR a warning. An error also comes back to whoever
// made the call, so those about names, which are expected (a file that exists already), are for debugging too, and those of the mount, which its
// own error explains.
func (d *disk) sdkLine(l sdk.Line) {
	mounting := false
	if l.Level == "ERR" {
		select {
		case <-d.ready:
		default:
			mounting = true
			d.mu.Lock()
			d.errors = append(d.errors, l.Message)
			d.mu.Unlock()
		}
	}
	if d.opts.SDKLog != nil {
		d.opts.SDKLog(strings.TrimSpace(l.Level + " " + l.Message))
		return
	}
	switch l.Level {
	case "INF":
		d.log.Debug("libpfsd: " + l.Message)
	case "ERR":
		level := slog.LevelWarn
		if mounting || aboutNames.MatchString(l.Message) {
			level = slog.LevelDebug
		}
		d.log.Log(context.Background(), level, "libpfsd: "+l.Message)
	default:
		d.log.Warn("libpfsd: " + l.Message)
	}
}

// maxClients is how many processes a pfsd serves (connections 2 to 14, even numbers: pfsd_chnl_accept_begin of pfsd_chnl.cc). One more
// blocks its listening thread until it is restarted.
const maxClients = 7

// clients counts the living processes that have the disk mounted.
func clients(runDir, disk string) int {
	names, _ := filepath.Glob(filepath.Join(runDir, disk, "*.pid"))
	n := 0
	for _, name := range names {
		pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".pid"))
		if err == nil && processLives(pid) {
			n++
		}
	}
	return n
}

// removeOwnPidFile removes what an earlier process of this number, or a mount that timed out, has left.
func removeOwnPidFile(runDir, disk string) error {
	name := filepath.Join(runDir, disk, strconv.Itoa(os.Getpid())+".pid")
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("a stale file %s is in the way, remove it: %w", name, err)
	}
	return nil
}
