package testenv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds the start of a server, recovery included; shared test machines are slow.
const startTimeout = 3 * time.Minute

// Server is a PostgreSQL server process of the test. It is stopped and its directory removed when the test ends.
type Server struct {
	Major   int
	Data    string // data directory
	Sockets string // directory of the Unix socket
	Port    int    // on 127.0.0.1 and of the socket
	LogFile string // what the server writes to stderr
	User    string // bootstrap superuser; every connection is trusted

	t        testing.TB
	programs Programs
	dir      string
	args     []string // -c settings that override the configuration files

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	state  error
}

// Host is the address of the server's TCP port.
func (s *Server) Host() string { return "127.0.0.1" }

// ConnString is a keyword/value connection string for libpq and pgx, for database postgres over TCP.
func (s *Server) ConnString() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable", s.Host(), s.Port, s.User)
}

// SocketConnString is ConnString over the Unix socket.
func (s *Server) SocketConnString() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable", s.Sockets, s.Port, s.User)
}

// Path is a path below the data directory.
func (s *Server) Path(elem ...string) string {
	return filepath.Join(append([]string{s.Data}, elem...)...)
}

// NewDir makes a directory beside the data directory that the server may use, for a tablespace for example.
func (s *Server) NewDir(name string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	Own(s.t, dir)
	return dir
}

// Start runs the server again after Stop or Kill, on the same port, and waits until it accepts connections.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.TryStart(); err != nil {
		s.t.Fatalf("PostgreSQL %d does not start: %v", s.Major, err)
	}
}

// TryStart is Start for servers that may not come up; the error holds the end of the server's log.
func (s *Server) TryStart() error {
	if err := s.launch(); err != nil {
		return err
	}
	if err := s.waitReady(); err != nil {
		log := s.logTail(4000)
		s.Kill()
		return fmt.Errorf("%w; its log ends with:\n%s", err, log)
	}
	return nil
}

// launch starts the postmaster and returns at once.
func (s *Server) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return fmt.Errorf("the server runs already, as process %d", s.cmd.Process.Pid)
	}
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append([]string{"-D", s.Data,
		"-c", "port=" + strconv.Itoa(s.Port),
		"-c", "unix_socket_directories=" + s.Sockets,
		"-c", "listen_addresses=" + s.Host(),
		"-c", "logging_collector=off", "-c", "log_destination=stderr"}, s.args...)
	cmd := exec.Command(filepath.Join(s.programs.Bin, "postgres"), args...)
	cmd.Env = s.programs.Env()
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	// SIGQUIT is an immediate shutdown: the postmaster takes its children with it.
	cmd.SysProcAttr = sysProcAttr(syscall.SIGQUIT)
	if err := startCommand(cmd); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go func() {
		err := cmd.Wait()
		s.mu.Lock()
		s.cmd, s.state = nil, err
		s.mu.Unlock()
		close(exited)
	}()
	return nil
}

// waitReady waits until a connection is accepted or the process ends.
func (s *Server) waitReady() error {
	s.mu.Lock()
	exited := s.exited
	s.mu.Unlock()
	deadline := time.Now().Add(startTimeout)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := s.answers(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("the server ended before it accepted connections: %v", s.state)
		case <-time.After(30 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no connection within %v: %w", startTimeout, err)
		}
	}
}

// answers says whether the server accepts connections, and that it is this one: another could have taken the port.
func (s *Server) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.ConnString())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return err
	}
	if want, err := filepath.Abs(s.Data); err != nil || dir != want {
		return fmt.Errorf("the server on port %d is that of %s, not %s", s.Port, dir, want)
	}
	return nil
}

// logTail is the last n bytes of the server's log.
func (s *Server) logTail(n int) string {
	log, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(log[max(0, len(log)-n):]))
}

// Log is all that the server has written to its log so far.
func (s *Server) Log() string {
	log, err := os.ReadFile(s.LogFile)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(log)
}

// freePort is a TCP port that nobody listened on a moment ago, below the range from which the kernel takes ports for outgoing connections: there it
// would not stay free while a server is down.
func freePort() (int, error) {
	var err error
	for range 200 {
		port := 10240 + rand.IntN(32000-10240)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free TCP port: %w", err)
}
