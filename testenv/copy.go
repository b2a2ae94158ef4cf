package testenv

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Mode is what a copied node is meant to be.
type Mode int

// Modes of StartCopy.
const (
	// AsIs starts the directory as the backup left it: signal files and settings decide.
	AsIs Mode = iota
	// Standby follows CopyOptions.Primary. The signal file and primary_conninfo are written unless the backup wrote them (-R).
	Standby
	// Primary recovers to the end of the backup and then accepts writes; StartCopy waits for that. Signal files must not be there.
	Primary
)

// CopyOptions are the choices for StartCopy.
type CopyOptions struct {
	Primary *Server // for Standby: what to follow when the backup has no settings of its own
	Slot    string  // for Standby: primary_slot_name, when the backup has no settings of its own
	Conf    string  // settings that override the copied ones, "name = value" lines without quotes
	WALDir  string  // directory that pg_wal is a link to, given to the unprivileged user too
}

// StartCopy runs a server of a major version from a directory that a backup made, on a port and socket of its own. The directory, and those that
// its links of pg_tblspc and pg_wal lead to, are given to the unprivileged user.
func StartCopy(t testing.TB, major int, dir string, mode Mode, opts CopyOptions) *Server {
	t.Helper()
	s := PrepareCopy(t, major, dir, mode, opts)
	s.firstStart()
	if mode == Primary {
		s.Eventually("the end of recovery", func() (bool, error) {
			v, err := s.TryValue("postgres", "SELECT pg_is_in_recovery()")
			return v == "false", err
		})
	}
	return s
}

// PrepareCopy is StartCopy that does not start the server, for tests in which the start has to fail (see TryStart).
func PrepareCopy(t testing.TB, major int, dir string, mode Mode, opts CopyOptions) *Server {
	t.Helper()
	s := newServer(t, Need(t, major))
	s.Data = dir
	Own(t, dir)
	for _, link := range append(links(t, filepath.Join(dir, "pg_tblspc")), filepath.Join(dir, "pg_wal")) {
		if to, err := filepath.EvalSymlinks(link); err == nil && to != link {
			Own(t, to)
		}
	}
	if opts.WALDir != "" {
		Own(t, opts.WALDir)
	}
	for _, line := range strings.Split(opts.Conf, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			s.args = append(s.args, "-c", strings.TrimSpace(name)+"="+strings.Trim(strings.TrimSpace(value), "'"))
		}
	}
	signal := s.Path("standby.signal")
	if major < 12 {
		signal = s.Path("recovery.conf")
	}
	_, err := os.Stat(signal)
	switch {
	case mode == Primary && err == nil:
		t.Fatalf("%s exists: the copy would start as a standby", signal)
	case mode == Standby && err != nil:
		if opts.Primary == nil {
			t.Fatalf("%s does not exist, and the test named no primary to follow", signal)
		}
		s.writeStandbySettings(signal, opts)
	}
	return s
}

// writeStandbySettings makes the copy a standby of opts.Primary.
func (s *Server) writeStandbySettings(signal string, opts CopyOptions) {
	s.t.Helper()
	lines := fmt.Sprintf("primary_conninfo = 'host=%s port=%d user=%s sslmode=disable application_name=copy%d'\nrecovery_target_timeline = 'latest'\n",
		opts.Primary.Host(), opts.Primary.Port, opts.Primary.User, s.Port)
	if opts.Slot != "" {
		lines += fmt.Sprintf("primary_slot_name = '%s'\n", opts.Slot)
	}
	files := map[string]string{signal: "", s.Path("postgresql.auto.conf"): lines}
	if s.Major < 12 {
		files = map[string]string{signal: "standby_mode = 'on'\n" + lines}
	}
	for name, text := range files {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			f.Close()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		Own(s.t, name)
	}
}

// links are the paths of the symbolic links in dir.
func links(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("the copy has no %s: %v", filepath.Base(dir), err)
	}
	var found []string
	for _, e := range entries {
		if e.Type() == fs.ModeSymlink {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found
}

// Streaming waits until this standby receives WAL by streaming from its primary.
func (s *Server) Streaming() {
	s.t.Helper()
	s.Eventually("the standby streams", func() (bool, error) {
		v, err := s.TryValue("postgres", "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		return v == "1", err
	})
}

// CaughtUp waits until this standby has replayed all that primary has written by now.
func (s *Server) CaughtUp(primary *Server) {
	s.t.Helper()
	s.Replayed(primary.Value("SELECT pg_current_wal_flush_lsn()"))
}

// Replayed waits until this standby has replayed up to an LSN.
func (s *Server) Replayed(lsn string) {
	s.t.Helper()
	s.Eventually("replay up to "+lsn, func() (bool, error) {
		v, err := s.TryValue("postgres", "SELECT coalesce(pg_last_wal_replay_lsn() >= "+quote(lsn)+", false)")
		return v == "true", err
	})
}

// PortString is Port as text, for command lines.
func (s *Server) PortString() string { return strconv.Itoa(s.Port) }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
