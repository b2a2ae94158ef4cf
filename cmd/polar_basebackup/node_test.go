package main_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"polarcast/testenv"
)

// port is one that nobody listens on at the moment.
func port(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// node is a server that --start has started.
type node struct {
	t    *testing.T
	s    *testenv.Server // its source
	ctl  string
	env  []string
	dir  string
	port int
	args []string
}

// newNode prepares a node that listens on a port of its own; it is stopped when the test ends.
func newNode(t *testing.T, s *testenv.Server, args ...string) *node {
	t.Helper()
	programs := testenv.Need(t, s.Major)
	ctl := filepath.Join(programs.Bin, "pg_ctl")
	if _, err := os.Stat(ctl); err != nil {
		t.Skip(err)
	}
	n := &node{t: t, s: s, ctl: ctl, dir: newDir(t), port: port(t)}
	n.env = append(programs.Env(), "POLARCAST_PG_CTL="+ctl)
	n.args = append([]string{"-h", s.Host(), "-p", s.PortString(), "-U", "postgres", "-c", "fast", "-D", n.dir, "--start", "-v",
		"--set", "port=" + strconv.Itoa(n.port), "--set", "listen_addresses=127.0.0.1", "--set", "unix_socket_directories=" + filepath.Dir(n.dir)}, args...)
	t.Cleanup(func() {
		testenv.Run(t, testenv.ProcessOptions{Env: n.env}, ctl, "-D", n.dir, "-m", "immediate", "stop")
	})
	return n
}

func (n *node) run(more ...string) *testenv.Process {
	n.t.Helper()
	p := testenv.StartProcess(n.t, testenv.ProcessOptions{Env: n.env}, testenv.Binary(n.t, "polar_basebackup"), append(n.args[:len(n.args):len(n.args)], more...)...)
	p.Wait(generous)
	return p
}

// value asks the node.
func (n *node) value(sql string) string {
	n.t.Helper()
	p := testenv.Run(n.t, testenv.ProcessOptions{}, testenv.Tool(n.t, "psql"), "-h", "127.0.0.1", "-p", strconv.Itoa(n.port), "-U", "postgres",
		"-d", "postgres", "-Atqc", sql)
	return strings.TrimSpace(p.Stdout())
}

// A standby and a primary, started by the command that made them: with recovery.conf (11) and with signal files. A soak does every major.
func TestStart(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{11, 17}, func(t *testing.T, major int) {
		s := testenv.Start(t, major, testenv.Options{Conf: "synchronous_standby_names = ''\n"})
		s.Exec("CREATE TABLE t AS SELECT 1 AS a")
		standby := newNode(t, s, "--node=standby", "-C", "-S", "node_a")
		if p := standby.run(); p.ExitCode() != 0 {
			t.Fatalf("exit status %d: %s", p.ExitCode(), p.Stderr())
		}
		if v := s.Value("SELECT state FROM pg_stat_replication WHERE application_name = 'node_a'"); v != "streaming" {
			t.Errorf("the source sees the standby in state %q", v)
		}
		if v := s.Value("SELECT active FROM pg_replication_slots WHERE slot_name = 'node_a'"); v != "true" {
			t.Errorf("the standby does not use its slot: %q", v)
		}
		s.Exec("INSERT INTO t VALUES (2)")
		s.Eventually("the standby to follow", func() (bool, error) { return standby.value("SELECT count(*) FROM t") == "2", nil })
		clean(t, standby.dir)

		primary := newNode(t, s, "--node=primary")
		if p := primary.run(); p.ExitCode() != 0 {
			t.Fatalf("exit status %d: %s", p.ExitCode(), p.Stderr())
		}
		if v := primary.value("INSERT INTO t VALUES (3); SELECT pg_is_in_recovery()"); v != "f" {
			t.Errorf("the primary is in recovery: %q", v)
		}
		clean(t, primary.dir)
	})
}

// A node that does not start is told with its server's words, keeps its label, and is started by the same command when the cause is gone.
func TestStartFails(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	n := newNode(t, s, "--node=standby")
	p := n.run("--set", "shared_preload_libraries=no_such_library")
	if p.ExitCode() != 1 || !strings.Contains(p.Stderr(), "could not access file \"no_such_library\"") || !strings.Contains(p.Stderr(), "did not start") {
		t.Fatalf("exit status %d: %s", p.ExitCode(), p.Stderr())
	}
	if _, err := os.Stat(n.dir + "/backup_label"); err != nil {
		t.Error(err)
	}
	p = n.run("--set", "shared_preload_libraries=")
	if p.ExitCode() != 0 || !strings.Contains(p.Stderr(), "continuing the interrupted backup") {
		t.Fatalf("exit status %d: %s", p.ExitCode(), p.Stderr())
	}
	if v := n.value("SELECT pg_is_in_recovery()"); v != "t" {
		t.Errorf("the node is not in recovery: %q", v)
	}
	clean(t, n.dir)
}
