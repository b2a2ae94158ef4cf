package cli

import (
	"net/url"
	"strings"

	"github.com/spf13/pflag"
)

// NATSFlags is how a command reaches NATS. The zero value names no server.
type NATSFlags struct {
	URLs     []string // --nats, separated by commas
	Context  string   // --nats-context: a context of the nats command
	Creds    string   // --creds: a credentials file
	User     string   // --nats-user
	Password string   // --nats-password
	Token    string   // --nats-token
	NKey     string   // --nkey: an nkey seed file
	TLSCA    string   // --tls-ca: PEM file of the authorities to trust
	TLSCert  string   // --tls-cert: PEM file of the client's certificate
	TLSKey   string   // --tls-key: PEM file of its key
}

// Register adds the flags to a command.
func (n *NATSFlags) Register(fs *pflag.FlagSet) {
	fs.StringSliceVar(&n.URLs, "nats", nil, "NATS servers, `URL`[,URL...] (default: NATS_URL, or the selected nats context)")
	fs.StringVar(&n.Context, "nats-context", "", "use the context `NAME` of the nats command")
	fs.StringVar(&n.Creds, "creds", "", "NATS credentials `FILE`")
	fs.StringVar(&n.User, "nats-user", "", "NATS user `NAME`")
	fs.StringVar(&n.Password, "nats-password", "", "NATS `PASSWORD` (better in the environment, as POLARCAST_NATS_PASSWORD)")
	fs.StringVar(&n.Token, "nats-token", "", "NATS `TOKEN`")
	fs.StringVar(&n.NKey, "nkey", "", "NATS nkey seed `FILE`")
	fs.StringVar(&n.TLSCA, "tls-ca", "", "PEM `FILE` of the authorities to trust for TLS to NATS")
	fs.StringVar(&n.TLSCert, "tls-cert", "", "PEM `FILE` of the client's certificate for TLS to NATS")
	fs.StringVar(&n.TLSKey, "tls-key", "", "PEM `FILE` of its key")
}

// Resolve completes the flags with what the nats command would take, and checks
// them. In the order of preference:
//
//  1. the flags themselves;
//  2. the context that --nats-context names;
//  3. without that, NATS_URL, NATS_CREDS, NATS_USER, NATS_PASSWORD, NATS_TOKEN,
//     NATS_NKEY, NATS_CA, NATS_CERT and NATS_KEY;
//  4. when there is no URL yet, the context of NATS_CONTEXT, or the selected one.
//     So the credentials of a context never go to a server that it does not name.
//
// Without environment, steps 3 and 4 are left out: polar_basebackup uses its
// embedded server unless it is told otherwise. The result has no URLs when no
// server is named anywhere. env looks up a variable, as [os.LookupEnv] does.
func (n NATSFlags) Resolve(environment bool, env func(string) (string, bool)) (NATSFlags, error) {
	get := func(name string) string { v, _ := env(name); return v }
	switch {
	case n.Context != "":
		c, err := readContext(n.Context, get)
		if err != nil {
			return n, err
		}
		n.fill(c)
	case environment:
		n.fill(NATSFlags{
			URLs: split(get("NATS_URL")), Creds: get("NATS_CREDS"), User: get("NATS_USER"), Password: get("NATS_PASSWORD"),
			Token: get("NATS_TOKEN"), NKey: get("NATS_NKEY"), TLSCA: get("NATS_CA"), TLSCert: get("NATS_CERT"), TLSKey: get("NATS_KEY"),
		})
		if len(n.URLs) > 0 {
			break
		}
		name, err := selectedContext(get)
		if err != nil || name == "" {
			return n, err
		}
		c, err := readContext(name, get)
		if err != nil {
			return n, err
		}
		n.fill(c)
	}
	return n, n.check()
}

func (n *NATSFlags) check() (err error) {
	if len(n.URLs) > 0 {
		if n.URLs, err = ParseURLs(strings.Join(n.URLs, ","), "--nats"); err != nil {
			return err
		}
	}
	if (n.TLSCert == "") != (n.TLSKey == "") {
		return Errorf("--tls-cert and --tls-key must be specified together")
	}
	if n.Password != "" && n.User == "" {
		return Errorf("--nats-password needs a user to be specified using --nats-user")
	}
	return nil
}

// fill takes from other what is missing. A user and a password, and a
// certificate and its key, are taken together.
func (n *NATSFlags) fill(other NATSFlags) {
	if len(n.URLs) == 0 {
		n.URLs = other.URLs
	}
	if n.Creds == "" && n.User == "" && n.Token == "" && n.NKey == "" {
		password := n.Password
		n.Creds, n.User, n.Password, n.Token, n.NKey = other.Creds, other.User, other.Password, other.Token, other.NKey
		if password != "" {
			n.Password = password
		}
	} else if n.User != "" && n.User == other.User && n.Password == "" {
		n.Password = other.Password
	}
	if n.TLSCA == "" {
		n.TLSCA = other.TLSCA
	}
	if n.TLSCert == "" && n.TLSKey == "" {
		n.TLSCert, n.TLSKey = other.TLSCert, other.TLSKey
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// ParseURLs reads the value of option: one or more NATS servers, separated by
// commas. A server without a scheme is nats://. Errors do not repeat a URL,
// which may hold a password.
func ParseURLs(value, option string) ([]string, error) {
	var urls []string
	for item := range strings.SplitSeq(value, ",") {
		full := strings.TrimSpace(item)
		if !strings.Contains(full, "://") {
			full = "nats://" + full
		}
		u, err := url.Parse(full)
		if err != nil || u.Hostname() == "" {
			return nil, Errorf("invalid server in %s: must be URL[,URL...], for example nats://host:4222", option)
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
			urls = append(urls, full)
		default:
			return nil, Errorf("invalid server in %s: unknown scheme \"%s\", must be \"nats\", \"tls\", \"ws\", or \"wss\"", option, u.Scheme)
		}
	}
	return urls, nil
}
