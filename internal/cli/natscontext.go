package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// natsContext is a context file of the nats command, as the NATS project's
// ADR-21 describes it.
type natsContext struct {
	URL      string `json:"url"`
	Token    string `json:"token"`
	User     string `json:"user"`
	Password string `json:"password"`
	Creds    string `json:"creds"`
	NKey     string `json:"nkey"`
	Cert     string `json:"cert"`
	Key      string `json:"key"`
	CA       string `json:"ca"`
	// What changes how the server is reached, and is not taken here.
	NSC       string `json:"nsc"`
	Domain    string `json:"jetstream_domain"`
	APIPrefix string `json:"jetstream_api_prefix"`
	Socks     string `json:"socks_proxy"`
	UserJWT   string `json:"user_jwt"`
	TLSFirst  bool   `json:"tls_first"`
}

// contextDir is where the nats command keeps its files:
// $XDG_CONFIG_HOME/nats, else ~/.config/nats.
func contextDir(get func(string) string) (string, error) {
	if dir := get("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "nats"), nil
	}
	if home := get("HOME"); home != "" {
		return filepath.Join(home, ".config", "nats"), nil
	}
	return "", Errorf("could not find the contexts of nats: neither XDG_CONFIG_HOME nor HOME is set")
}

// selectedContext is the context of NATS_CONTEXT, or that of "nats context
// select"; empty when there is none.
func selectedContext(get func(string) string) (string, error) {
	if name := get("NATS_CONTEXT"); name != "" {
		return name, nil
	}
	if get("XDG_CONFIG_HOME") == "" && get("HOME") == "" {
		return "", nil
	}
	dir, err := contextDir(get)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, "context.txt"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("could not read the name of the selected nats context: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// readContext reads the context of that name.
func readContext(name string, get func(string) string) (NATSFlags, error) {
	if name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return NATSFlags{}, Errorf("invalid nats context \"%s\": a name has no slashes", name)
	}
	dir, err := contextDir(get)
	if err != nil {
		return NATSFlags{}, err
	}
	path := filepath.Join(dir, "context", name+".json")
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return NATSFlags{}, &Error{
			Text: fmt.Sprintf("there is no nats context \"%s\": file \"%s\" does not exist", name, path),
			Hint: "\"nats context ls\" lists the contexts.",
		}
	case err != nil:
		return NATSFlags{}, fmt.Errorf("could not read the nats context \"%s\": %w", name, err)
	}
	var c natsContext
	if err := json.Unmarshal(text, &c); err != nil {
		return NATSFlags{}, fmt.Errorf("could not read the nats context in \"%s\": %w", path, err)
	}
	if key := c.unsupported(); key != "" {
		return NATSFlags{}, &Error{
			Text: fmt.Sprintf("the nats context \"%s\" sets \"%s\", which this program does not support", name, key),
			Hint: "Make a context without it, or name the server with --nats.",
		}
	}
	if c.URL == "" {
		return NATSFlags{}, Errorf("the nats context \"%s\" has no url", name)
	}
	home := get("HOME")
	return NATSFlags{
		URLs: split(c.URL), User: c.User, Password: c.Password, Token: c.Token,
		Creds: expandHome(c.Creds, home), NKey: expandHome(c.NKey, home),
		TLSCA: expandHome(c.CA, home), TLSCert: expandHome(c.Cert, home), TLSKey: expandHome(c.Key, home),
	}, nil
}

// unsupported is the first key that would be needed to reach the right server in
// the right way; leaving it out silently would reach another, or none.
func (c *natsContext) unsupported() string {
	switch {
	case c.NSC != "":
		return "nsc"
	case c.Domain != "":
		return "jetstream_domain"
	case c.APIPrefix != "":
		return "jetstream_api_prefix"
	case c.Socks != "":
		return "socks_proxy"
	case c.UserJWT != "":
		return "user_jwt"
	case c.TLSFirst:
		return "tls_first"
	}
	return ""
}

// expandHome replaces a leading ~ as the nats command does.
func expandHome(path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && home != "" && (rest == "" || rest[0] == '/') {
		return home + rest
	}
	return path
}
