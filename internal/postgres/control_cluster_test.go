package postgres

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// cluster is a real PostgreSQL 15 in a temporary directory, run as user postgres when the tests run as root (servers refuse root).
type cluster struct {
	t                 *testing.T
	dir, socket, port string
	started           bool
}

// postgresBin is the directory of the server's programs; the test is skipped where they are not installed.
func postgresBin(t *testing.T) string {
	t.Helper()
	const bin = "/usr/lib/postgresql/15/bin"
	if _, err := os.Stat(filepath.Join(bin, "initdb")); err != nil {
		t.Skip("PostgreSQL 15 is not installed in " + bin)
	}
	return bin
}

func initCluster(t *testing.T, initdbArgs ...string) *cluster {
	t.Helper()
	bin := postgresBin(t)
	c := &cluster{t: t}
	// A short path of our own: socket paths are limited to about 100 bytes.
	dir, err := os.MkdirTemp("", "pc15")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c.share(dir)
	c.dir, c.socket = filepath.Join(dir, "data"), dir
	c.run(filepath.Join(bin, "initdb"), append([]string{"-D", c.dir, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "-k"}, initdbArgs...)...)
	return c
}

// share makes dir and gives it to the user that the server runs as.
func (c *cluster) share(dir string) string {
	c.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	// The parents that t.TempDir makes must let that user through.
	for p := filepath.Dir(dir); len(p) > len(os.TempDir()); p = filepath.Dir(p) {
		os.Chmod(p, 0o755)
	}
	if cred := c.credential(); cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
	return dir
}

func (c *cluster) credential() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		c.t.Skip("tests run as root and there is no user postgres to run the server as")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.socket
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + c.socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential()}
	return cmd
}

func (c *cluster) run(name string, args ...string) string {
	c.t.Helper()
	var out strings.Builder
	cmd := c.command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, out.String())
	}
	return out.String()
}

// start starts the server with name=value settings and stops it when the test ends.
func (c *cluster) start(settings ...string) {
	c.t.Helper()
	if c.port == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			c.t.Fatal(err)
		}
		_, c.port, _ = net.SplitHostPort(l.Addr().String())
		l.Close()
	}
	opts := "-c listen_addresses= -c unix_socket_directories=" + c.socket + " -c port=" + c.port + " -c fsync=off"
	for _, s := range settings {
		opts += " -c " + s
	}
	c.run(filepath.Join(postgresBin(c.t), "pg_ctl"), "-D", c.dir, "-w", "-s", "-l", filepath.Join(c.socket, "log"), "-o", opts, "start")
	c.started = true
	c.t.Cleanup(func() { c.stop("immediate") })
}

func (c *cluster) stop(mode string) {
	if c.started {
		c.started = false
		c.run(filepath.Join(postgresBin(c.t), "pg_ctl"), "-D", c.dir, "-w", "-s", "-m", mode, "stop")
	}
}

// sql runs statements in one session and returns the unaligned output.
func (c *cluster) sql(statements ...string) string {
	c.t.Helper()
	args := []string{"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", c.socket, "-p", c.port, "-U", "postgres"}
	for _, s := range statements {
		args = append(args, "-c", s)
	}
	return strings.TrimSpace(c.run(filepath.Join(postgresBin(c.t), "psql"), args...))
}

func (c *cluster) read(name string) []byte {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	return data
}

func (c *cluster) write(name string, data []byte) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
	if cred := c.credential(); cred != nil {
		if err := os.Chown(path, int(cred.Uid), int(cred.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
}
