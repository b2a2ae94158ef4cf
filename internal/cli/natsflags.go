package cli

import (
	"net/url"
	"strings"
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

// ParseURLs reads the value of option: one or more NATS servers, separated by
// commas. A server without a scheme is nats://.
func ParseURLs(value, option string) ([]string, error) {
	var urls []string
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		full := item
		if !strings.Contains(item, "://") {
			full = "nats://" + item
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
