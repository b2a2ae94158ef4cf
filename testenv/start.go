package testenv

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Options are the choices for a new server. The zero value is a primary without checksums with 16 MB segments, from which replication
// and backups work.
type Options struct {
	Checksums   bool
	WALSegMB    int      // size of a WAL segment in MB; 0: the default, 16
	GroupAccess bool     // initdb --allow-group-access: data_directory_mode 0750
	Conf        string   // lines appended to postgresql.conf
	HBA         string   // lines put before the trust rules of pg_hba.conf
	InitArgs    []string // further arguments of initdb
}

// Start makes and runs a new server of a major version. The test is skipped when its programs cannot be had.
func Start(t testing.TB, major int, opts Options) *Server {
	t.Helper()
	s := Init(t, major, opts)
	s.firstStart()
	return s
}

// firstStart is Start; nobody knows the port yet, so that another may be tried when a process of another test took it meanwhile.
func (s *Server) firstStart() {
	s.t.Helper()
	for range 3 {
		err := s.TryStart()
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "Address already in use") {
			s.t.Fatalf("PostgreSQL %d does not start: %v", s.Major, err)
		}
		port, perr := freePort()
		if perr != nil {
			s.t.Fatal(perr)
		}
		s.Port = port
	}
	s.Start()
}

// Init makes a server's directory and does not start it.
func Init(t testing.TB, major int, opts Options) *Server {
	t.Helper()
	s := newServer(t, Need(t, major))
	s.initdb(opts)
	return s
}

func newServer(t testing.TB, p Programs) *Server {
	t.Helper()
	dir := Dir(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Major: p.Major, programs: p, t: t, dir: dir, Port: port, User: "postgres",
		Data: filepath.Join(dir, "data"), Sockets: dir, LogFile: filepath.Join(dir, "log"),
	}
	t.Cleanup(s.cleanup)
	return s
}

func (s *Server) initdb(opts Options) {
	s.t.Helper()
	args := []string{"-D", s.Data, "-U", s.User, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"}
	switch {
	case opts.Checksums:
		args = append(args, "-k")
	case s.Major >= 18: // on by default there
		args = append(args, "--no-data-checksums")
	}
	if opts.WALSegMB > 0 {
		args = append(args, fmt.Sprintf("--wal-segsize=%d", opts.WALSegMB))
	}
	if opts.GroupAccess {
		args = append(args, "-g")
	}
	cmd := exec.Command(filepath.Join(s.programs.Bin, "initdb"), append(args, opts.InitArgs...)...)
	cmd.Env = s.programs.Env()
	cmd.Dir = s.dir
	cmd.SysProcAttr = sysProcAttr(syscall.SIGKILL)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := startCommand(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		s.t.Fatalf("initdb of PostgreSQL %d: %v\n%s", s.Major, err, out.String())
	}
	s.AppendConf(baseConf(s.Major))
	s.AppendConf(opts.Conf)
	hba := opts.HBA + `
local all         all              trust
local replication all              trust
host  all         all 127.0.0.1/32 trust
host  replication all 127.0.0.1/32 trust
host  all         all ::1/128      trust
host  replication all ::1/128      trust
`
	if err := os.WriteFile(s.Path("pg_hba.conf"), []byte(hba), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// baseConf are the settings of all servers of the tests. fsync is off since no test cuts the machine's power.
func baseConf(major int) string {
	conf := `
wal_level = replica
max_wal_senders = 20
max_replication_slots = 20
max_connections = 60
hot_standby = on
shared_buffers = 32MB
fsync = off
wal_sender_timeout = 60s
wal_receiver_status_interval = 1s
log_line_prefix = '%m [%p] %q%u@%d %a '
log_checkpoints = on
log_replication_commands = on
timezone = 'UTC'
log_timezone = 'UTC'
`
	if major >= 13 {
		return conf + "wal_keep_size = 0\n"
	}
	return conf + "wal_keep_segments = 0\n"
}

// AppendConf appends lines to postgresql.conf; they count from the next start or Reload.
func (s *Server) AppendConf(lines string) {
	s.t.Helper()
	f, err := os.OpenFile(s.Path("postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = f.WriteString(strings.TrimSpace(lines) + "\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Reload makes the server read its configuration files again.
func (s *Server) Reload() {
	s.t.Helper()
	s.Exec("SELECT pg_reload_conf()")
}
