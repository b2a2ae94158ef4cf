package postgres

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"sync"
)

// ConnOptions are what the command line says about the connection; all else comes from the connection string, the service file, the environment and
// libpq's defaults, in this order.
type ConnOptions struct {
	ConnString string // -d: "host=… port=…" or a URI
	Host       string // -h, overrides ConnString; a path is the directory of a Unix socket
	Port       string // -p, overrides ConnString
	User       string // -U, overrides ConnString

	NoPassword    bool // -w: never ask
	ForcePassword bool // -W: ask before the first connection
	// Prompt asks a person for the password, without echo. nil never asks.
	Prompt func(prompt string) (string, error)

	AppName     string // fallback_application_name, such as "polar_basebackup"
	Replication bool   // speak the physical replication protocol; a dbname in ConnString is then ignored, as by pg_basebackup
	DBName      string // without Replication: the database if nothing else names one; "" is "postgres"

	// OnNotice gets notices and warnings of the server, and warnings of this package about the configuration. It may be nil.
	OnNotice func(severity, message, detail, hint, code string)
}

// Config says how to connect. Made by ParseConfig; it may be used for several connections, also at the same time.
type Config struct {
	// OnNotice gets notices and warnings; nil drops them. It must not use the connection. Set it before Connect.
	OnNotice func(severity, message, detail, hint, code string)

	opts        ConnOptions
	set         settings // all parameters in effect, with defaults
	servicePath string   // the service file that was read
	ownPassfile bool     // passfile is the default one
	dbname      string   // the database that somebody named, though Replication does not use it; for PrimaryConnInfo
	hosts       []target
	numbers     numbers

	mu       sync.Mutex
	password string // typed in by a person
	prompted bool
}

// target is one host of the list.
type target struct {
	host     string // name, address, or directory of a socket; "" when only hostaddr is given
	hostaddr string // numeric address to use in place of resolving host
	port     uint16
	password string // of the password file
}

// numbers are the parameters that are numbers, parsed; -1 where none was given.
type numbers struct {
	connectTimeout                    int // seconds, 0 waits for ever
	keepalives, idle, interval, count int
	userTimeout                       int // milliseconds
	_                                 struct{}
}

// ParseConfig merges all sources of connection parameters and checks them. Nothing is connected or resolved.
func ParseConfig(opts ConnOptions) (*Config, error) {
	set, err := parseConnString(opts.ConnString)
	if err != nil {
		return nil, err
	}
	c := &Config{OnNotice: opts.OnNotice, opts: opts, set: set}
	for name, value := range map[string]string{"host": opts.Host, "port": opts.Port, "user": opts.User} {
		if value != "" {
			set[name] = value
		}
	}
	c.dbname = set["dbname"]
	if opts.Replication {
		set["dbname"], set["replication"] = "replication", "true"
	} else {
		delete(set, "replication")
	}
	for name, value := range set { // PQconnectdbParams takes an empty value for no value
		if value == "" {
			delete(set, name)
		}
	}
	if err := c.addService(); err != nil {
		return nil, err
	}
	if c.dbname == "" {
		c.dbname = os.Getenv("PGDATABASE")
	}
	if err := c.addDefaults(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.hosts, err = c.parseHosts(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) addService() error {
	name, file := c.set["service"], c.set["servicefile"]
	if name == "" {
		name = os.Getenv("PGSERVICE")
	}
	if file == "" {
		file = os.Getenv("PGSERVICEFILE")
	}
	if name == "" {
		return nil
	}
	service, path, err := loadService(name, file)
	if err != nil {
		return err
	}
	c.set["service"], c.servicePath = name, path
	if c.dbname == "" {
		c.dbname = service["dbname"]
	}
	for name, value := range service {
		if _, ok := c.set[name]; !ok && value != "" && name != "replication" {
			c.set[name] = value
		}
	}
	return nil
}

func (c *Config) addDefaults() error {
	fallback := func(name, value string) {
		if _, ok := c.set[name]; !ok && value != "" {
			c.set[name] = value
		}
	}
	for _, k := range keywords {
		if k.env != "" {
			fallback(k.name, os.Getenv(k.env))
		}
	}
	if c.set["sslrootcert"] == "system" {
		fallback("sslmode", "verify-full")
	}
	for _, k := range keywords {
		fallback(k.name, k.value)
	}
	if home, err := os.UserHomeDir(); err == nil && c.set["passfile"] == "" && c.set["password"] == "" { // connectOptions2
		c.set["passfile"], c.ownPassfile = filepath.Join(home, ".pgpass"), true
	}
	fallback("fallback_application_name", c.opts.AppName)
	if c.set["user"] == "" {
		u, err := user.Current()
		if err != nil {
			return fmt.Errorf("no user name was given, and that of the operating system cannot be found: %w", err)
		}
		c.set["user"] = u.Username
	}
	if !c.opts.Replication {
		fallback("dbname", c.opts.DBName)
		fallback("dbname", "postgres")
	}
	return nil
}

// User is the user to connect as.
func (c *Config) User() string { return c.set["user"] }

// warn reports something about the configuration that is not fatal.
func (c *Config) warn(message string) {
	if c.OnNotice != nil {
		c.OnNotice("WARNING", message, "", "", "")
	}
}

// startupParams are the settings for the start-up message.
func (c *Config) startupParams() map[string]string {
	params := map[string]string{}
	for _, e := range startupEnv {
		if v := os.Getenv(e.env); v != "" {
			params[e.setting] = v
		}
	}
	for _, k := range keywords {
		if v := c.set[k.name]; k.startup != "" && v != "" {
			params[k.startup] = v
		}
	}
	if params["client_encoding"] == "auto" {
		params["client_encoding"] = "UTF8"
	}
	if params["application_name"] == "" && c.set["fallback_application_name"] != "" {
		params["application_name"] = c.set["fallback_application_name"]
	}
	if c.opts.Replication {
		params["replication"] = "true"
	}
	return params
}
