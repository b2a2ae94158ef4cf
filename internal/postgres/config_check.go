package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// choices are the values that a parameter may have.
var choices = map[string][]string{
	"sslmode":              {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
	"sslnegotiation":       {"postgres", "direct"},
	"sslcertmode":          {"disable", "allow", "require"},
	"channel_binding":      {"disable", "prefer", "require"},
	"gssencmode":           {"disable", "prefer", "require"},
	"target_session_attrs": {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"},
	"load_balance_hosts":   {"disable", "random"},
	"min_protocol_version": {"3.0", "3.2", "latest"},
	"max_protocol_version": {"3.0", "3.2", "latest"},
}

// check validates parameters that are not host and port.
func (c *Config) check() error {
	for name, allowed := range choices {
		if v := c.set[name]; v != "" && !contains(allowed, v) {
			return fmt.Errorf("invalid %s value: %q", name, v)
		}
	}
	for _, k := range keywords {
		if k.refused && c.set[k.name] != "" {
			return fmt.Errorf("connection option %q is not supported by this program", k.name)
		}
	}
	if c.set["gssencmode"] == "require" {
		return fmt.Errorf("gssencmode value \"require\" invalid: this program has no GSSAPI support; use TLS, with sslmode=require or verify-full")
	}
	if c.set["sslnegotiation"] == "direct" && contains([]string{"disable", "allow", "prefer"}, c.set["sslmode"]) {
		return fmt.Errorf("weak sslmode %q may not be used with sslnegotiation=direct (use \"require\", \"verify-ca\", or \"verify-full\")", c.set["sslmode"])
	}
	if c.set["sslrootcert"] == "system" && c.set["sslmode"] != "verify-full" {
		return fmt.Errorf("weak sslmode %q may not be used with sslrootcert=system (use \"verify-full\")", c.set["sslmode"])
	}
	for name, into := range map[string]struct {
		p *int
		d int
	}{
		"connect_timeout": {&c.numbers.connectTimeout, 0}, "keepalives": {&c.numbers.keepalives, 1},
		"keepalives_idle": {&c.numbers.idle, -1}, "keepalives_interval": {&c.numbers.interval, -1},
		"keepalives_count": {&c.numbers.count, -1}, "tcp_user_timeout": {&c.numbers.userTimeout, -1},
	} {
		*into.p = into.d
		v := strings.TrimSpace(c.set[name])
		if v == "" {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return fmt.Errorf("invalid integer value %q for connection option %q", v, name)
		}
		*into.p = int(n)
	}
	if c.numbers.connectTimeout == 1 {
		c.numbers.connectTimeout = 2 // as libpq: one second might be no time at all
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// parseHosts splits the lists of hosts, addresses and ports, and finds the passwords.
func (c *Config) parseHosts() ([]target, error) {
	hosts := strings.Split(c.set["host"], ",")
	var addrs []string
	if c.set["hostaddr"] != "" {
		addrs = strings.Split(c.set["hostaddr"], ",")
		if c.set["host"] == "" {
			hosts = make([]string, len(addrs))
		}
		if len(addrs) != len(hosts) {
			return nil, fmt.Errorf("could not match %d host names to %d hostaddr values", len(hosts), len(addrs))
		}
	}
	ports := strings.Split(c.set["port"], ",")
	if len(ports) > 1 && len(ports) != len(hosts) {
		return nil, fmt.Errorf("could not match %d port numbers to %d hosts", len(ports), len(hosts))
	}
	var out []target
	for i, host := range hosts {
		t := target{host: host}
		portText := ports[0]
		if len(ports) > 1 {
			portText = ports[i]
		}
		if portText == "" {
			portText = "5432"
		}
		port, err := strconv.ParseUint(strings.TrimSpace(portText), 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("invalid port number: %q", portText)
		}
		t.port = uint16(port)
		if addrs != nil {
			t.hostaddr = addrs[i]
		}
		if t.host == "" && t.hostaddr == "" {
			t.host = defaultSocketDir(t.port)
		}
		name := t.host
		if name == "" {
			name = t.hostaddr
		}
		if c.set["password"] == "" && c.set["passfile"] != "" {
			t.password = passwordFrom(c.set["passfile"], name, strconv.Itoa(int(port)), c.set["dbname"], c.set["user"], c.warn)
		}
		out = append(out, t)
	}
	return out, nil
}

// defaultSocketDir is the directory where the server on this host listens: the first of the usual ones with a socket for that port, or else the first that
// exists.
func defaultSocketDir(port uint16) string {
	for _, dir := range defaultSocketDirs {
		if _, err := os.Stat(filepath.Join(dir, socketName(port))); err == nil {
			return dir
		}
	}
	for _, dir := range defaultSocketDirs {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return defaultSocketDirs[0]
}

func socketName(port uint16) string { return ".s.PGSQL." + strconv.Itoa(int(port)) }
