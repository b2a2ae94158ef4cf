package postgres

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const pgBin = "/usr/lib/postgresql/15/bin"

// pgServer is a PostgreSQL 15 of this test. Logins on the socket need no password for the superuser; on TCP, role "secret" needs its password "s:e\cret"
// with TLS, "plain" the same without TLS, "cert" a client certificate.
type pgServer struct {
	t    *testing.T
	dir  string // of everything, readable by the server's user
	data string
	port int
	cmd  *exec.Cmd
	done chan struct{}
	cred *syscall.Credential
}

// in makes t the test that failures and clean-ups belong to, until the returned function is called.
func (s *pgServer) in(t *testing.T) func() {
	outer := s.t
	s.t = t
	return func() { s.t = outer }
}

// newPGServer makes a cluster and starts it.
func newPGServer(t *testing.T) *pgServer {
	t.Helper()
	if _, err := os.Stat(filepath.Join(pgBin, "postgres")); err != nil {
		t.Skipf("no PostgreSQL 15 in %s", pgBin)
	}
	dir, err := os.MkdirTemp("", "pgconn") // short, for the path of the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &pgServer{t: t, dir: dir, data: filepath.Join(dir, "data")}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("the server does not run as root, and there is no user postgres")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	s.own(dir)
	os.Chmod(dir, 0o755)
	if out, err := s.command("initdb", "-k", "-N", "-U", "postgres", "-A", "trust", "--no-instructions", "-D", s.data).CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.certificates()
	s.file("data/pg_hba.conf", `local all postgres trust
local replication postgres trust
local all one trust
local all secret scram-sha-256
local replication secret scram-sha-256
hostssl all,replication secret 127.0.0.1/32 scram-sha-256
hostssl all cert 127.0.0.1/32 cert
hostnossl all,replication plain 127.0.0.1/32 scram-sha-256
`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf, _ := os.ReadFile(filepath.Join(s.data, "postgresql.conf"))
	s.file("data/postgresql.conf", string(conf)+fmt.Sprintf(`
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
fsync = off
ssl = on
ssl_cert_file = '%[2]s/server.crt'
ssl_key_file = '%[2]s/server.key'
ssl_ca_file = '%[2]s/ca.crt'
max_wal_senders = 10
wal_keep_size = 64MB
statement_timeout = 777
`, s.port, s.dir))
	s.start()
	t.Cleanup(s.stop)
	s.sql(`CREATE ROLE secret LOGIN REPLICATION PASSWORD 's:e\cret'`)
	s.sql(`CREATE ROLE plain LOGIN REPLICATION PASSWORD 's:e\cret'`)
	s.sql(`CREATE ROLE cert LOGIN SUPERUSER`)
	s.sql(`CREATE ROLE one LOGIN CONNECTION LIMIT 1`)
	return s
}

func (s *pgServer) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(pgBin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + pgBin + ":/usr/bin:/bin", "LC_ALL=C", "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

// start starts the server and waits until it answers.
func (s *pgServer) start() {
	s.t.Helper()
	s.cmd = s.command("postgres", "-D", s.data)
	s.cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { cmd.Wait(); close(done) }(s.cmd, s.done)
	for {
		c, err := Connect(context.Background(), s.config(ConnOptions{}))
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-s.done:
			s.t.Fatalf("server did not start: %v\n%s", err, s.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *pgServer) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}

// stop stops the server, fast.
func (s *pgServer) stop() {
	s.cmd.Process.Signal(syscall.SIGINT)
	<-s.done
}

// config is a configuration for the server's socket as its superuser.
func (s *pgServer) config(o ConnOptions) *Config {
	s.t.Helper()
	if o.Host == "" && o.ConnString == "" {
		o.Host, o.User = s.dir, "postgres"
	}
	if o.Port == "" {
		o.Port = strconv.Itoa(s.port)
	}
	cfg, err := ParseConfig(o)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *pgServer) connect(o ConnOptions) *Conn {
	s.t.Helper()
	c, err := Connect(context.Background(), s.config(o))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func (s *pgServer) sql(command string) []Row {
	s.t.Helper()
	c := s.connect(ConnOptions{})
	defer c.Close()
	rows, err := c.Query(context.Background(), command)
	if err != nil {
		s.t.Fatalf("%s: %v", command, err)
	}
	return rows
}

// own gives a file to the user of the server.
func (s *pgServer) own(path string) {
	if s.cred != nil {
		if err := os.Chown(path, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *pgServer) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.own(path)
	return path
}

// certificates makes an authority, the server's certificate for "localhost" and one for the role "cert", and a list that revokes the server's.
func (s *pgServer) certificates() {
	s.t.Helper()
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		s.t.Fatal(err)
	}
	ca, _ = x509.ParseCertificate(der)
	write := func(name, kind string, der []byte) {
		s.file(name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	write("ca.crt", "CERTIFICATE", der)
	for i, cn := range []string{"localhost", "cert", "other"} {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(10 + i)), Subject: pkix.Name{CommonName: cn}, NotAfter: time.Now().Add(time.Hour)}
		file := cn
		if cn == "localhost" {
			tmpl.DNSNames = []string{cn}
			file = "server"
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, &key.PublicKey, caKey)
		if err != nil {
			s.t.Fatal(err)
		}
		keyDER, _ := x509.MarshalECPrivateKey(key)
		write(file+".crt", "CERTIFICATE", der)
		write(file+".key", "EC PRIVATE KEY", keyDER)
	}
	for name, serial := range map[string]int64{"revoked.crl": 10, "other.crl": 12} {
		crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: time.Now()}}}, ca, caKey)
		if err != nil {
			s.t.Fatal(err)
		}
		write(name, "X509 CRL", crl)
	}
}

// cleanEnv takes all that could change the configuration out of the environment, and gives the test a home directory of its own.
func cleanEnv(t *testing.T) (home string) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PG") {
			t.Setenv(name, "")
		}
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PGSYSCONFDIR", home)
	return home
}
