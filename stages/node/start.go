package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// startLog is the file in the data directory that gets what the server says until its own logging begins.
const startLog = "server_start.log"

// savedLabel keeps the backup's label until the node has started well: a server renames the label before it knows whether its start will succeed,
// and a second start without it would begin recovery at the wrong place.
const savedLabel = target.MarkerDir + "/backup_label"

// starter starts a node.
type starter struct {
	s       *Settings
	l       *target.Layout
	control func(context.Context) (*postgres.Control, error) // reads the node's control file
	ctl     string
	log     int64 // size of startLog before
	at      time.Time
}

// release gives the disk of the shared tree back before the node is started: the node mounts it with the host id that this process has had, and pfsd
// takes one client for writing with each.
func (s *Stage) release(ctx context.Context, l *target.Layout) error {
	f, dir := l.Shared()
	if dir == "" || f.Info().Disk == "" {
		return nil
	}
	disk := f.Info().Disk
	var err error
	if s.cfg.Release != nil {
		err = s.cfg.Release()
	}
	if err := errors.Join(err, l.Close()); err != nil {
		return err
	}
	s.waitFor("the disk of the shared data to be unmounted")
	return pfs.WaitUnmounted(ctx, disk) // the storage stage of this process ends by itself
}

// starter returns what starts the node of a layout. On PFS its control file is read through a mount of its own: the layout's was given back.
func (s *Stage) starter(l *target.Layout) *starter {
	f, dir := l.Shared()
	switch {
	case dir == "":
		f, dir = pfs.Local(), l.Dir()
	case f.Info().Disk != "" && s.cfg.Storage.Mount != nil:
		return &starter{l: l, control: func(ctx context.Context) (*postgres.Control, error) {
			m, err := s.cfg.Storage.Mount(ctx)
			if err != nil {
				return nil, err
			}
			defer m.Close()
			return readControl(m, dir)
		}}
	}
	return &starter{l: l, control: func(context.Context) (*postgres.Control, error) { return readControl(f, dir) }}
}

// start starts the node and returns when it does what it was made for. A node that runs already, because this step is done again, is only looked at.
func (s *Settings) start(ctx context.Context, st pipeline.State, r *starter, phase func(Phase)) error {
	ctl, err := findPgCtl(ctx, st.Prepared)
	if err != nil {
		return err
	}
	r.s, r.ctl, r.at = s, ctl, time.Now()
	phase(PhaseStart)
	if !r.running(ctx) {
		if err := r.saveLabel(); err != nil {
			return err
		}
		if err := r.run(ctx); err != nil {
			return errors.Join(err, r.restoreLabel(ctx))
		}
	}
	phase(PhaseStream)
	if s.Kind == Primary {
		return r.waitRecovered(ctx)
	}
	return r.waitStreaming(ctx, st.Prepared.ServerVersion)
}

// running asks pg_ctl, which knows stale pid files.
func (r *starter) running(ctx context.Context) bool {
	return exec.CommandContext(ctx, r.ctl, "-D", r.l.Dir(), "status").Run() == nil
}

// run is pg_ctl start. How long recovery takes nobody knows: pg_ctl is told to wait a day, and a person may end it earlier.
func (r *starter) run(ctx context.Context) error {
	log := filepath.Join(r.l.Dir(), startLog)
	if st, err := os.Stat(log); err == nil {
		r.log = st.Size()
	}
	cmd := exec.CommandContext(ctx, r.ctl, "-D", r.l.Dir(), "-l", log, "-s", "-w", "-t", strconv.Itoa(24*3600), "start")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("the node in \"%s\" did not start (%s: %s)%s", r.l.Dir(), r.ctl, oneLine(string(out), err), r.said())
	}
	return nil
}

func oneLine(out string, err error) string {
	if out = strings.TrimSpace(out); out != "" {
		return strings.ReplaceAll(out, "\n", " ")
	}
	return err.Error()
}

func (r *starter) saveLabel() error {
	label, err := os.ReadFile(filepath.Join(r.l.Dir(), "backup_label"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not read file \"%s/backup_label\": %w", r.l.Dir(), err)
	}
	if err := os.MkdirAll(filepath.Join(r.l.Dir(), target.MarkerDir), 0o700); err != nil {
		return err
	}
	return writeFile(filepath.Join(r.l.Dir(), savedLabel), string(label), r.l.Config().FileMode)
}

// restoreLabel puts the label back after a failed start, so that the next one begins where the first did. It stays away from a node that has left
// recovery: its files are past the label.
func (r *starter) restoreLabel(ctx context.Context) error {
	label, err := os.ReadFile(filepath.Join(r.l.Dir(), savedLabel))
	if err != nil {
		return nil
	}
	name := filepath.Join(r.l.Dir(), "backup_label")
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	c, err := r.control(ctx)
	if err != nil {
		return fmt.Errorf("could not see how far the node came, and did not put \"%s\" back, which is saved in \"%s/%s\": %w", name, r.l.Dir(), savedLabel, err)
	}
	if c.State == postgres.DBInProduction {
		return nil
	}
	return writeFile(name, string(label), r.l.Config().FileMode)
}

// recoveredTimeout bounds the wait for the end of recovery after the server accepts connections.
const recoveredTimeout = 10 * time.Minute

// statusLine is the line of postmaster.pid that says how far the server is (LOCK_FILE_LINE_PM_STATUS), statusReady what it says when recovery is
// over (PM_STATUS_READY); both in src/include/utils/pidfile.h of 10 and later.
const (
	statusLine  = 8
	statusReady = "ready"
)

// waitRecovered returns when the node says that it is a primary.
func (r *starter) waitRecovered(ctx context.Context) error {
	return r.until(ctx, recoveredTimeout, "end recovery", func() (bool, error) {
		pid, err := os.ReadFile(filepath.Join(r.l.Dir(), "postmaster.pid"))
		if err != nil {
			return false, err
		}
		lines := strings.Split(string(pid), "\n")
		return len(lines) >= statusLine && strings.TrimSpace(lines[statusLine-1]) == statusReady, nil
	})
}

// pollStart is how often a started node is looked at.
const pollStart = 200 * time.Millisecond

// until polls done; a node that ends meanwhile, or that takes too long, is an error with its own words.
func (r *starter) until(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	end := time.Now().Add(limit)
	for n := 0; ; n++ {
		ok, err := done()
		if ok {
			return nil
		}
		if n%10 == 9 && !r.running(ctx) && ctx.Err() == nil {
			return errors.Join(fmt.Errorf("the node in \"%s\" ended before it could %s%s", r.l.Dir(), what, r.said()), r.restoreLabel(ctx))
		}
		if time.Now().After(end) {
			why := ""
			if err != nil {
				why = ": " + err.Error()
			}
			return fmt.Errorf("the node in \"%s\" runs, but did not %s within %v%s%s", r.l.Dir(), what, limit, why, r.said())
		}
		select {
		case <-time.After(pollStart):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// checkStart refuses a start that cannot work, before anything is written.
func (s *Settings) checkStart(p *messages.Prepared) error {
	if os.Geteuid() == 0 {
		return errors.New("a server cannot be run by \"root\": run this command as the unprivileged user who will own the node, or leave out --start")
	}
	_, err := findPgCtl(context.Background(), p)
	return err
}
