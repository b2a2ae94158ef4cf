package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// attempt is one try: a host, one of its addresses, with or without TLS.
type attempt struct {
	cfg     *Config
	target  target
	addr    string // numeric address, or path of the socket
	tls     *tls.Config
	stage   string // how far it came: dial, tls, start
	dialErr error
	wire    *wire
}

// verdict says how to go on after a failed attempt.
type verdict int

const (
	stop     verdict = iota // the error is final
	nextMode                // the same address, with or without TLS
	nextHost                // the next address
)

// connectHosts goes through the list of hosts. prefer-standby takes a second round for any server.
func connectHosts(ctx context.Context, cfg *Config) (*Conn, *pgconn.HijackedConn, error) {
	want := []string{cfg.set["target_session_attrs"]}
	if want[0] == "prefer-standby" {
		want = []string{"standby", "any"}
	}
	hosts := append([]target(nil), cfg.hosts...)
	if cfg.set["load_balance_hosts"] == "random" {
		rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	}
	var errs attemptErrors
	for _, attrs := range want {
		for _, host := range hosts {
			addrs, err := host.addresses(ctx)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			for _, addr := range addrs {
				c, hijacked, more, final := connectAddress(ctx, cfg, host, addr, attrs)
				if c != nil {
					return c, hijacked, nil
				}
				errs = append(errs, more...)
				if ctx.Err() != nil {
					return nil, nil, fmt.Errorf("connection attempt was given up: %w", context.Cause(ctx))
				}
				if final {
					return nil, nil, errs
				}
			}
		}
	}
	return nil, nil, errs
}

// addresses are those of a host, numeric; for a socket its path.
func (t target) addresses(ctx context.Context) ([]string, error) {
	switch {
	case t.hostaddr != "":
		return []string{t.hostaddr}, nil
	case t.socket():
		return []string{filepath.Join(strings.Replace(t.host, "@", "\x00", 1), socketName(t.port))}, nil
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, t.host)
	if err != nil {
		reason := err.Error()
		var dns *net.DNSError
		if errors.As(err, &dns) {
			if reason = dns.Err; dns.IsNotFound {
				reason = "Name or service not known"
			}
		}
		return nil, &textError{fmt.Sprintf("could not translate host name %q to address: %s", t.host, reason), err}
	}
	return addrs, nil
}

// socket says whether the host is a directory of a Unix socket; "@" begins an abstract one.
func (t target) socket() bool {
	return t.hostaddr == "" && (strings.HasPrefix(t.host, "/") || strings.HasPrefix(t.host, "@"))
}

// connectAddress tries the TLS modes of sslmode with one address.
func connectAddress(ctx context.Context, cfg *Config, t target, addr, attrs string) (*Conn, *pgconn.HijackedConn, attemptErrors, bool) {
	modes := []bool{true}
	switch cfg.set["sslmode"] {
	case "disable":
		modes = []bool{false}
	case "allow":
		modes = []bool{false, true}
	case "prefer":
		modes = []bool{true, false}
	}
	if t.socket() {
		modes = []bool{false}
	}
	var errs attemptErrors
	for i, secure := range modes {
		a := &attempt{cfg: cfg, target: t, addr: addr}
		c, hijacked, err := a.run(ctx, secure, attrs)
		if err == nil {
			return c, hijacked, nil, false
		}
		v := a.judge(err, i+1 < len(modes))
		if v != nextMode || !errors.Is(err, errTLSRefused) { // prefer goes on in silence when the server has no TLS
			errs = append(errs, a.label(err))
		}
		if v == nextHost {
			break
		}
		if v == stop {
			return nil, nil, errs, true
		}
	}
	return nil, nil, errs, false
}

var (
	errTLSRefused        = errors.New("server does not support SSL, but SSL was required")
	errTimeout     error = &textError{"timeout expired", context.DeadlineExceeded}
	errSessionKind       = errors.New("server is not of the kind that target_session_attrs asks for")
)

// judge follows PQconnectPoll: a failed TLS handshake or an error of the server leads to the other mode, if there is one; a host that cannot be reached, that is
// not ready (57P03) or not of the right kind to the next host; anything else is final.
func (a *attempt) judge(err error, otherMode bool) verdict {
	var server *ServerError
	switch {
	case errors.Is(err, errPasswordNeeded):
		return stop
	case errors.Is(err, errSessionKind), a.stage == "dial", errors.Is(err, errTimeout):
		return nextHost
	case otherMode && (a.stage == "tls" || errors.As(err, &server)):
		return nextMode
	case SQLState(err) == "57P03": // ERRCODE_CANNOT_CONNECT_NOW
		return nextHost
	}
	return stop
}

// run makes the attempt.
func (a *attempt) run(ctx context.Context, secure bool, attrs string) (*Conn, *pgconn.HijackedConn, error) {
	if n := a.cfg.numbers.connectTimeout; n > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(n)*time.Second, errTimeout)
		defer cancel()
	}
	if secure {
		host := a.target.host
		if host == "" {
			host = a.target.hostaddr
		}
		var err error
		if a.tls, err = a.cfg.tlsConfig(host); err != nil {
			a.stage = "config"
			return nil, nil, err
		}
	}
	pgCfg, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	a.stage = "dial"
	pg, err := pgconn.ConnectConfig(ctx, pgCfg)
	if err != nil {
		return nil, nil, a.cause(ctx, err)
	}
	hijacked, err := pg.Hijack()
	if err != nil {
		return nil, nil, err
	}
	c := &Conn{net: hijacked.Conn, wire: a.wire, cfg: a.cfg, used: a.target, pid: hijacked.PID, params: hijacked.ParameterStatuses}
	done := c.watch(ctx)
	if err := done(c.checkSession(attrs)); err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, hijacked, nil
}

// config makes pgconn's configuration for exactly this attempt. What pgconn would take from the environment by itself is overridden: this package has its own
// rules for it.
func (a *attempt) config() (*pgconn.Config, error) {
	set := a.cfg.set
	text := "host=/ port=1 user=x password=x dbname=x connect_timeout=0 sslmode=disable sslcertmode=allow target_session_attrs=any" +
		" channel_binding=" + set["channel_binding"] + " require_auth=" + quoteConnValue(set["require_auth"]) +
		" min_protocol_version=" + quoteConnValue(set["min_protocol_version"]) + " max_protocol_version=" + quoteConnValue(set["max_protocol_version"])
	if a.cfg.servicePath != "" {
		text += " service=" + quoteConnValue(set["service"]) + " servicefile=" + quoteConnValue(a.cfg.servicePath)
	}
	cfg, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.TLSConfig, cfg.Fallbacks = a.target.host, a.target.port, a.tls, nil
	if !a.target.socket() {
		cfg.Host = "server" // resolved by LookupFunc
	}
	cfg.SSLCertMode, cfg.SSLNegotiation = set["sslcertmode"], set["sslnegotiation"]
	cfg.User, cfg.Database, cfg.Password = set["user"], set["dbname"], a.cfg.passwordFor(a.target)
	cfg.RuntimeParams = a.cfg.startupParams()
	cfg.KerberosSrvName = set["krbsrvname"]
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{a.addr}, nil }
	cfg.DialFunc = a.dial
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if a.cfg.OnNotice != nil {
			a.cfg.OnNotice(n.Severity, n.Message, n.Detail, n.Hint, n.Code)
		}
	}
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		if a.wire != nil { // pgconn.Construct, for SQL
			return pgproto3.NewFrontend(r, w)
		}
		a.stage = "start"
		a.wire = &wire{r: r, buf: make([]byte, wireBufferSize), havePassword: cfg.Password != ""}
		return pgproto3.NewFrontend(a.wire, w)
	}
	return cfg, nil
}
