package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestServer runs everything against one PostgreSQL 15.
func TestServer(t *testing.T) {
	home := cleanEnv(t)
	s := newPGServer(t)
	t.Run("Login", func(t *testing.T) { defer s.in(t)(); testLogin(t, s, home) })
	t.Run("Prompt", func(t *testing.T) { defer s.in(t)(); testPrompt(t, s) })
	t.Run("TLS", func(t *testing.T) { defer s.in(t)(); testTLS(t, s) })
	t.Run("LoginErrors", func(t *testing.T) { defer s.in(t)(); testLoginErrors(t, s) })
	t.Run("Session", func(t *testing.T) { defer s.in(t)(); testSession(t, s) })
	t.Run("Closed", func(t *testing.T) { defer s.in(t)(); testClosed(t, s) })
	t.Run("Commands", func(t *testing.T) { defer s.in(t)(); testCommands(t, s) })
	t.Run("BaseBackup", func(t *testing.T) { defer s.in(t)(); testBaseBackup(t, s) })
	t.Run("PrimaryConnInfo", func(t *testing.T) { defer s.in(t)(); testPrimaryConnInfo(t, s) })
	t.Run("Cancel", func(t *testing.T) { defer s.in(t)(); testCancel(t, s) })
	t.Run("Replication", func(t *testing.T) { defer s.in(t)(); testReplication(t, s) })
	t.Run("Standby", func(t *testing.T) { defer s.in(t)(); testStandby(t, s) }) // restarts and promotes the server
}

const password = `s:e\cret`

func testLogin(t *testing.T, s *pgServer, home string) {
	port := strconv.Itoa(s.port)
	pass := func(t *testing.T, db string) {
		t.Setenv("PGPASSFILE", s.file("pgpass", "# comment\n*:*:*:nobody:wrong\nlocalhost:"+port+":"+db+":secret:s\\:e\\\\cret\n"))
	}
	for _, c := range []struct {
		name        string
		setup       func(t *testing.T)
		o           ConnOptions
		tls         bool
		application string
	}{
		{"socket", nil, ConnOptions{Host: s.dir, User: "postgres", AppName: "test"}, false, "test"},
		{"connection string", nil, ConnOptions{ConnString: "host=localhost user=secret dbname=ignored password='s:e\\\\cret' application_name=mine", AppName: "test"}, true, "mine"},
		{"URI", nil, ConnOptions{ConnString: "postgresql://secret:s%3Ae%5Ccret@127.0.0.1:" + port + "/postgres?sslmode=require&channel_binding=require"}, true, ""},
		{"options override", nil, ConnOptions{ConnString: "host=wrong.invalid port=1 user=nobody", Host: "localhost", Port: port, User: "secret"}, true, ""},
		{"environment", func(t *testing.T) {
			t.Setenv("PGHOST", "127.0.0.1")
			t.Setenv("PGPORT", port)
			t.Setenv("PGUSER", "secret")
			t.Setenv("PGAPPNAME", "env")
		}, ConnOptions{Port: port, ConnString: "connect_timeout=10"}, true, "env"},
		{"service", func(t *testing.T) {
			t.Setenv("PGSERVICE", "mine")
			t.Setenv("PGSERVICEFILE", s.file("service", "[other]\nhost=wrong.invalid\n[mine]\n# x\nhost=localhost\nport="+port+"\nuser=secret\ndbname=x\n"))
		}, ConnOptions{ConnString: "keepalives=1 keepalives_idle=30 tcp_user_timeout=10000"}, true, ""},
		{"service in the home directory", func(t *testing.T) {
			os.WriteFile(filepath.Join(home, ".pg_service.conf"), []byte("[home]\nhost=localhost\nuser=plain\nsslmode=disable\n"), 0o600)
		}, ConnOptions{ConnString: "service=home"}, false, ""},
		{"prefer falls back to no TLS", nil, ConnOptions{ConnString: "host=localhost user=plain"}, false, ""},
		{"allow goes on to TLS", nil, ConnOptions{ConnString: "host=localhost user=secret sslmode=allow"}, true, ""},
		{"password file", func(t *testing.T) { t.Setenv("PGPASSWORD", ""); pass(t, "DB") }, ConnOptions{Host: "localhost", User: "secret"}, true, ""},
		{"options", nil, ConnOptions{ConnString: "host=localhost user=secret options='-c application_name=opt'"}, true, "opt"},
		{"hostaddr", nil, ConnOptions{ConnString: "host=nowhere.invalid hostaddr=127.0.0.1 user=secret"}, true, ""},
		{"second host", nil, ConnOptions{ConnString: "host=" + s.dir + "/none,localhost port=1," + port + " user=secret", Port: "1," + port}, true, ""},
	} {
		for _, replication := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s replication=%v", c.name, replication), func(t *testing.T) {
				defer s.in(t)()
				t.Setenv("PGPASSWORD", password)
				if c.setup != nil {
					c.setup(t)
				}
				if c.name == "password file" {
					pass(t, map[bool]string{true: "replication", false: "postgres"}[replication])
				}
				c.o.Replication = replication
				if c.o.DBName = ""; c.name == "service" || c.name == "connection string" {
					if !replication {
						t.Setenv("PGDATABASE", "")
						return // that database does not exist
					}
				}
				conn := s.connect(c.o)
				if conn.TLS() != c.tls {
					t.Errorf("TLS is %v", conn.TLS())
				}
				if got := conn.Parameter("application_name"); got != c.application {
					t.Errorf("application_name is %q", got)
				}
				if v := conn.ServerVersion(); v/10000 != 15 {
					t.Errorf("version %d", v)
				}
				if replication {
					if _, err := conn.IdentifySystem(context.Background()); err != nil {
						t.Error(err)
					}
				} else if rows, err := conn.Query(context.Background(), "SELECT current_database()"); err != nil || rows[0].text(0) != "postgres" {
					t.Errorf("%s, %v", rows, err)
				}
			})
		}
	}
}

func testPrompt(t *testing.T, s *pgServer) {
	asked := 0
	answer := password
	prompt := func(text string) (string, error) {
		if asked++; text != "Password: " {
			t.Errorf("prompt %q", text)
		}
		return answer, nil
	}
	connect := func(o ConnOptions) error {
		o.Host, o.User, o.Prompt = "localhost", "secret", prompt
		cfg := s.config(o)
		for range 2 { // one configuration asks once
			c, err := Connect(context.Background(), cfg)
			if err != nil {
				return err
			}
			c.Close()
		}
		if !strings.Contains(cfg.PrimaryConnInfo(150000), `password='s:e\\cret'`) && asked > 0 {
			t.Errorf("password is not in %s", cfg.PrimaryConnInfo(150000))
		}
		return nil
	}
	if err := connect(ConnOptions{}); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	asked = 0
	want := "failed: fe_sendauth: no password supplied"
	if err := connect(ConnOptions{NoPassword: true}); err == nil || !strings.Contains(err.Error(), want) || asked != 0 {
		t.Errorf("-w: asked %d times, %v", asked, err)
	}
	t.Setenv("PGPASSWORD", "wrong")
	if err := connect(ConnOptions{ForcePassword: true}); err != nil || asked != 1 {
		t.Errorf("-W: asked %d times, %v", asked, err)
	}
	asked = 0
	if err := connect(ConnOptions{}); err == nil || SQLState(err) != "28P01" || asked != 0 {
		t.Errorf("wrong password: asked %d times, %v", asked, err)
	}
	t.Setenv("PGPASSWORD", "")
	answer = "wrong too"
	if err := connect(ConnOptions{}); err == nil || SQLState(err) != "28P01" || asked != 1 {
		t.Errorf("wrong answer: asked %d times, %v", asked, err)
	}
	if strings.Contains(s.log(), "empty password") {
		t.Errorf("an empty password was sent")
	}
}

func testTLS(t *testing.T, s *pgServer) {
	t.Setenv("PGPASSWORD", password)
	in := func(name string) string { return filepath.Join(s.dir, name) }
	open := s.file("open.key", "")
	key, _ := os.ReadFile(in("cert.key"))
	os.WriteFile(open, key, 0o600)
	os.Chmod(open, 0o644)
	for _, c := range []struct{ conninfo, want string }{
		{"host=localhost sslmode=verify-full sslrootcert=" + in("ca.crt"), ""},
		{"host=localhost sslmode=verify-full sslrootcert=" + in("ca.crt") + " sslcrl=" + in("other.crl"), ""},
		{"host=localhost sslmode=verify-full sslrootcert=" + in("ca.crt") + " sslcrl=" + in("revoked.crl"), "was revoked"},
		{"host=127.0.0.1 sslmode=verify-ca sslrootcert=" + in("ca.crt"), ""},
		{"host=127.0.0.1 sslmode=verify-full sslrootcert=" + in("ca.crt"), `server certificate for "localhost" does not match host name "127.0.0.1"`},
		{"host=localhost sslmode=verify-full sslrootcert=" + in("other.crt"), "certificate verify failed"},
		{"host=localhost sslmode=require sslrootcert=" + in("other.crt"), "certificate verify failed"},
		{"host=localhost sslmode=verify-ca", `root certificate file "~/.postgresql/root.crt" does not exist`},
		{"host=localhost sslmode=verify-ca sslrootcert=" + in("none"), "does not exist"},
		{"host=localhost sslmode=require ssl_min_protocol_version=TLSv1.3", ""},
		{"host=localhost sslmode=require ssl_max_protocol_version=TLSv1.2", ""},
		{"host=localhost channel_binding=require", ""},
		{"host=localhost sslmode=disable channel_binding=require user=plain", "channel binding"},
		{"host=localhost require_auth=md5", "require"},
		{"host=localhost user=cert sslcert=" + in("cert.crt") + " sslkey=" + in("cert.key"), ""},
		{"host=localhost user=cert sslcert=" + in("cert.crt") + " sslkey=" + open, "has group or world access"},
		{"host=localhost user=cert sslcert=" + in("other.crt") + " sslkey=" + in("other.key"), "authentication failed"},
		{"host=" + s.dir + " user=postgres requirepeer=root sslmode=verify-full", "requirepeer specifies \"root\", but actual peer user name is \"postgres\""},
		{"host=" + s.dir + " user=postgres requirepeer=postgres", ""},
	} {
		if !strings.Contains(c.conninfo, "user=") {
			c.conninfo += " user=secret"
		}
		if s.cred == nil && strings.Contains(c.conninfo, "requirepeer") {
			continue
		}
		conn, err := Connect(context.Background(), s.config(ConnOptions{ConnString: c.conninfo}))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s:\n%v", c.conninfo, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s:\ngot  %v\nwant %s", c.conninfo, err, c.want)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// testLoginErrors compares the texts with those of libpq 15.
func testLoginErrors(t *testing.T, s *pgServer) {
	t.Setenv("PGPASSWORD", "wrong")
	port := strconv.Itoa(s.port)
	for _, c := range []struct{ conninfo, want string }{
		{"host=127.0.0.1 port=1 user=x", `connection to server at "127.0.0.1", port 1 failed: Connection refused
	Is the server running on that host and accepting TCP/IP connections?`},
		{"host=/none port=1 user=x", `connection to server on socket "/none/.s.PGSQL.1" failed: No such file or directory
	Is the server running locally and accepting connections on that socket?`},
		{"host=nowhere.invalid user=x", `could not translate host name "nowhere.invalid" to address: Name or service not known`},
		{"host=127.0.0.1 user=secret sslmode=require port=" + port,
			`connection to server at "127.0.0.1", port ` + port + ` failed: FATAL:  password authentication failed for user "secret"`},
		{"host=127.0.0.1 user=nobody sslmode=disable port=" + port, `connection to server at "127.0.0.1", port ` + port +
			` failed: FATAL:  no pg_hba.conf entry for replication connection from host "127.0.0.1", user "nobody", no encryption`},
		{"host=127.0.0.1 user=nobody port=" + port, `connection to server at "127.0.0.1", port ` + port +
			` failed: FATAL:  no pg_hba.conf entry for replication connection from host "127.0.0.1", user "nobody", SSL encryption
connection to server at "127.0.0.1", port ` + port +
			` failed: FATAL:  no pg_hba.conf entry for replication connection from host "127.0.0.1", user "nobody", no encryption`},
		{"host=" + s.dir + " user=postgres target_session_attrs=standby port=" + port,
			`connection to server on socket "` + s.dir + `/.s.PGSQL.` + port + `" failed: server is not in hot standby mode`},
	} {
		cfg, err := ParseConfig(ConnOptions{ConnString: c.conninfo, Replication: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Connect(context.Background(), cfg)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.conninfo, err, c.want)
		}
	}
}

// testSession looks at what a new session for SQL has set.
func testSession(t *testing.T, s *pgServer) {
	c := s.connect(ConnOptions{})
	for name, want := range map[string]string{"search_path": "", "statement_timeout": "0", "idle_session_timeout": "0", "client_encoding": "SQL_ASCII"} {
		if v, err := c.Show(context.Background(), name); err != nil || v != want {
			t.Errorf("%s is %q, %v", name, v, err)
		}
	}
	pg, err := ConnectSQL(context.Background(), s.config(ConnOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close(context.Background())
	const size = 3 << 20
	r := pg.ExecParams(context.Background(), "SELECT pg_catalog.convert_to(pg_catalog.repeat('x', $1), 'UTF8')", [][]byte{[]byte(strconv.Itoa(size))},
		[]uint32{23}, nil, []int16{1}).Read()
	if r.Err != nil || len(r.Rows) != 1 || len(r.Rows[0][0]) != size {
		t.Errorf("%d rows, %v", len(r.Rows), r.Err)
	}
	if v := pg.Exec(context.Background(), "SHOW statement_timeout"); true {
		if res, err := v.ReadAll(); err != nil || string(res[0].Rows[0][0]) != "0" {
			t.Errorf("statement_timeout, %v", err)
		}
	}
	if _, err := ConnectSQL(context.Background(), s.config(ConnOptions{Host: s.dir, User: "postgres", Replication: true})); err == nil {
		t.Error("SQL over a replication connection")
	}
}

// testClosed has room for one more WAL sender: who closes a connection can make the next at once.
func testClosed(t *testing.T, s *pgServer) {
	t.Setenv("PGPASSWORD", password)
	for range 9 {
		s.connect(replicationOptions(s))
	}
	for _, o := range []ConnOptions{replicationOptions(s), {Host: "localhost", User: "secret", Replication: true}} {
		for i := range 100 {
			c, err := Connect(context.Background(), s.config(o))
			if err != nil {
				t.Fatalf("connection %d as %s: %v", i, o.User, err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 3 {
		c, err := ConnectSQL(context.Background(), s.config(ConnOptions{Host: s.dir, User: "one"}))
		if err != nil {
			t.Fatalf("connection %d for SQL: %v", i, err)
		}
		// What the server has to do before it is done with a connection.
		if _, err := c.Exec(context.Background(), "DO 'BEGIN FOR i IN 1 .. 200 LOOP EXECUTE $q$CREATE TEMPORARY TABLE t$q$ || i || $q$ (i int PRIMARY KEY)$q$; END LOOP; END'").ReadAll(); err != nil {
			t.Fatal(err)
		}
		CloseSQL(c)
	}
}

func replicationOptions(s *pgServer) ConnOptions {
	return ConnOptions{Host: s.dir, User: "postgres", Replication: true}
}

// testPrimaryConnInfo compares with what the real pg_basebackup writes.
func testPrimaryConnInfo(t *testing.T, s *pgServer) {
	t.Setenv("HOME", s.dir)
	for i, conninfo := range []string{
		"user=postgres host=" + s.dir,
		"user=secret host=localhost sslmode=require dbname=x keepalives_idle=30 application_name='a b' options='-c geqo=off'",
	} {
		conninfo += " port=" + strconv.Itoa(s.port)
		dir := filepath.Join(s.dir, "copy"+strconv.Itoa(i))
		cmd := s.command("pg_basebackup", "-d", conninfo, "-D", dir, "-X", "none", "-c", "fast", "-R", "-T", filepath.Join(s.dir, "space")+"="+dir+"-space")
		if i > 0 {
			t.Setenv("PGPASSWORD", password)
			cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, "postgresql.auto.conf"))
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(text), "primary_conninfo = '")
		want := strings.NewReplacer("''", "'", `\\`, `\`).Replace(strings.TrimSuffix(strings.TrimSpace(line), "'"))
		cfg, err := ParseConfig(ConnOptions{ConnString: conninfo, Replication: true, AppName: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.PrimaryConnInfo(150018); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := cfg.PrimaryConnInfo(110009); strings.Contains(got, "channel_binding") || strings.Contains(got, "gssencmode") {
			t.Errorf("for version 11: %s", got)
		}
	}
}
