package postgres

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseConnString(t *testing.T) {
	for _, c := range []struct {
		text string
		want settings
	}{
		{"", settings{}},
		{"  host = a\tport=1  ", settings{"host": "a", "port": "1"}},
		{`password='it\'s \\ "x"' user=`, settings{"password": `it's \ "x"`, "user": ""}},
		{`user=a\ b host=c\`, settings{"user": "a b", "host": "c"}},
		{"host=a host=b", settings{"host": "b"}},
		{"postgresql://", settings{}},
		{"postgres://u:p@h:1/db?sslmode=require&ssl=true", settings{"user": "u", "password": "p", "host": "h", "port": "1", "dbname": "db", "sslmode": "require"}},
		{"postgresql://[::1]:5,h2,[fe80::1]/", settings{"host": "::1,h2,fe80::1", "port": "5,,"}},
		{"postgresql://%2Ftmp?user=%61%2B+", settings{"host": "/tmp", "user": "a++"}},
		{"postgresql://u@/db", settings{"user": "u", "dbname": "db"}},
		{"postgresql://:p@h", settings{"password": "p", "host": "h"}},
	} {
		got, err := parseConnString(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\ngot  %q, %v\nwant %q", c.text, got, err, c.want)
		}
	}
	for text, want := range map[string]string{ // libpq's words
		"host":                    `missing "=" after "host" in connection info string`,
		"host port=1":             `missing "=" after "host" in connection info string`,
		"host='a":                 "unterminated quoted string in connection info string",
		"nosuch=1":                `invalid connection option "nosuch"`,
		"postgresql://h?nosuch=1": `invalid URI query parameter: "nosuch"`,
		"postgresql://h?user":     `missing key/value separator "=" in URI query parameter: "user"`,
		"postgresql://h?user=a=b": `extra key/value separator "=" in URI query parameter: "user"`,
		"postgresql://[::1":       `end of string reached when looking for matching "]"`,
		"postgresql://[]":         "IPv6 host address may not be empty",
		"postgresql://[::1]x":     "unexpected character",
		"postgresql://h%zz":       "invalid percent-encoded token",
		"postgresql://h%2":        "invalid percent-encoded token",
		"postgresql://h%00":       "forbidden value %00",
		"host=\x00":               "zero byte",
	} {
		if _, err := parseConnString(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestParseConfigErrors(t *testing.T) {
	cleanEnv(t)
	for text, want := range map[string]string{
		"port=0":                               `invalid port number: "0"`,
		"port=65536":                           `invalid port number: "65536"`,
		"port=x":                               `invalid port number: "x"`,
		"host=a,b port=1,2,3":                  "could not match 3 port numbers to 2 hosts",
		"host=a,b hostaddr=1.1.1.1":            "could not match 2 host names to 1 hostaddr values",
		"sslmode=maybe":                        `invalid sslmode value: "maybe"`,
		"target_session_attrs=x":               `invalid target_session_attrs value: "x"`,
		"channel_binding=x":                    `invalid channel_binding value: "x"`,
		"connect_timeout=soon":                 `invalid integer value "soon" for connection option "connect_timeout"`,
		"gssencmode=require":                   "no GSSAPI support",
		"scram_client_key=x":                   "not supported",
		"sslrootcert=system sslmode=require":   `weak sslmode "require" may not be used with sslrootcert=system`,
		"sslnegotiation=direct sslmode=prefer": `weak sslmode "prefer" may not be used with sslnegotiation=direct`,
		"service=none":                         `definition of service "none" not found`,
		"service=x servicefile=/none":          "cannot be read",
	} {
		if _, err := ParseConfig(ConnOptions{ConnString: text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestPrecedence has each source say something: the options win over the string, over the service, over the environment, over the defaults.
func TestPrecedence(t *testing.T) {
	home := cleanEnv(t)
	file := filepath.Join(home, "svc")
	os.WriteFile(file, []byte("[s]\nhost=service\nport=2\nuser=service\napplication_name=service\nhost=later\n[t]\nport=9\n"), 0o600)
	for name, value := range map[string]string{"PGHOST": "env", "PGPORT": "1", "PGUSER": "env", "PGAPPNAME": "env", "PGSSLMODE": "disable", "PGSERVICEFILE": file,
		"PGDATABASE": "env", "PGTZ": "UTC"} {
		t.Setenv(name, value)
	}
	cfg, err := ParseConfig(ConnOptions{ConnString: "service=s port=3 user=string dbname=x replication=database", User: "option", Replication: true, AppName: "fallback"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"host": "service", "port": "3", "user": "option", "application_name": "service", "sslmode": "disable",
		"dbname": "replication", "replication": "true", "channel_binding": "prefer"} {
		if got := cfg.set[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := map[string]string{"application_name": "service", "timezone": "UTC", "replication": "true"}
	if got := cfg.startupParams(); !reflect.DeepEqual(got, want) {
		t.Errorf("startup %v, want %v", got, want)
	}
	if cfg, err = ParseConfig(ConnOptions{ConnString: "replication=true"}); err != nil || cfg.set["dbname"] != "env" || cfg.set["replication"] != "" {
		t.Errorf("SQL: %v, %v", cfg, err)
	}
	t.Setenv("PGDATABASE", "")
	if cfg, err = ParseConfig(ConnOptions{}); err != nil || cfg.set["dbname"] != "postgres" {
		t.Errorf("SQL: %v, %v", cfg, err)
	}
}

func TestPasswordFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	text := strings.Join([]string{
		"# comment:*:*:*:no", "", "short:line", "*:*:other:u:no",
		`h\:1:5432:replication:a\\b:first\:x`,
		"localhost:*:*:u:socket", "/run/x:*:*:u:path", "h2:1:*:u:win\r", "*:2:*:*:any",
	}, "\n")
	os.WriteFile(file, []byte(text), 0o600)
	var warned []string
	warn := func(s string) { warned = append(warned, s) }
	for _, c := range []struct{ host, port, db, user, want string }{
		{"h:1", "5432", "replication", `a\b`, "first:x"},
		{"h:1", "5432", "postgres", `a\b`, ""},
		{"/var/run/postgresql", "1", "d", "u", "socket"},
		{"/tmp", "1", "d", "u", "socket"},
		{"/run/x", "1", "d", "u", "path"},
		{"/run/y", "1", "d", "u", ""},
		{"h2", "1", "d", "u", "win"},
		{"h3", "2", "d", "x", "any"},
	} {
		if got := passwordFrom(file, c.host, c.port, c.db, c.user, warn); got != c.want {
			t.Errorf("%v: %q", c, got)
		}
	}
	if len(warned) != 0 {
		t.Errorf("warned of %q", warned)
	}
	os.Chmod(file, 0o640)
	if got := passwordFrom(file, "h3", "2", "d", "x", warn); got != "" || len(warned) != 1 || !strings.Contains(warned[0], "has group or world access") {
		t.Errorf("%q with %q", got, warned)
	}
	if passwordFrom(filepath.Dir(file), "h3", "2", "d", "x", warn); len(warned) != 2 || !strings.Contains(warned[1], "is not a plain file") {
		t.Errorf("warned of %q", warned)
	}
	if passwordFrom(file+"none", "h3", "2", "d", "x", warn); len(warned) != 2 {
		t.Errorf("warned of %q", warned)
	}
}

func TestNameFits(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"a.example.com", "A.example.com", true}, {"*.example.com", "a.example.com", true}, {"*.example.com", "a.b.example.com", false},
		{"*.example.com", ".example.com", false}, {"*.example.com", "example.com", false}, {"*", "a", false}, {"*.", "a.", false}, {"a*.com", "ab.com", false},
	} {
		if got := nameFits(c.pattern, c.host); got != c.want {
			t.Errorf("%s against %s: %v", c.pattern, c.host, got)
		}
	}
}

func TestVersionNumber(t *testing.T) {
	for text, want := range map[string]int{"15.18 (Debian 15.18-0+deb12u1)": 150018, "11.9": 110009, "17beta2": 170000, "9.6.24": 90624, "18": 180000, "": 0, "x": 0, "15.": 150000} {
		if got := versionNumber(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// From 17 on pg_basebackup -R names the database that somebody named (GetDbnameFromConnectionOptions in streamutil.c).
func TestPrimaryConnInfoNamesTheDatabase(t *testing.T) {
	service := filepath.Join(t.TempDir(), "service.conf")
	if err := os.WriteFile(service, []byte("[s]\ndbname=fromservice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ conninfo, env, want string }{
		{"", "", ""},
		{"dbname='my db'", "fromenv", "dbname='my db'"},
		{"", "fromenv", "dbname=fromenv"},
		{"service=s servicefile=" + service, "fromenv", "dbname=fromservice"},
	} {
		t.Setenv("PGDATABASE", c.env)
		cfg, err := ParseConfig(ConnOptions{ConnString: c.conninfo, Host: "h", User: "u", Replication: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.PrimaryConnInfo(160000); strings.Contains(got, "dbname") {
			t.Errorf("%q: version 16 gets %s", c.conninfo, got)
		}
		got := cfg.PrimaryConnInfo(170000)
		if c.want == "" && strings.Contains(got, "dbname") || !strings.HasSuffix(got, c.want) {
			t.Errorf("%q: version 17 gets %s, want %s", c.conninfo, got, c.want)
		}
	}
}
