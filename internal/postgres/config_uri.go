package postgres

import (
	"errors"
	"fmt"
	"strings"
)

// parseURI reads what follows "postgresql://": [user[:password]@][host[:port]][,…][/dbname][?name=value[&…]], as conninfo_uri_parse_options in
// fe-connect.c. Errors do not repeat the URI, since a password may stand in it.
func parseURI(s string) (settings, error) {
	out := settings{}
	if i := strings.IndexAny(s, "@/"); i >= 0 && s[i] == '@' {
		user, password, hasPassword := strings.Cut(s[:i], ":")
		s = s[i+1:]
		if err := out.decode("user", user); err != nil {
			return nil, err
		}
		if hasPassword {
			if err := out.decode("password", password); err != nil {
				return nil, err
			}
		}
	}
	s, err := out.uriHosts(s)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(s, "/") {
		db := s[1:]
		s = ""
		if i := strings.IndexByte(db, '?'); i >= 0 {
			db, s = db[:i], db[i:]
		}
		if err := out.decode("dbname", db); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(s, "?") {
		return out, out.uriParams(s[1:])
	}
	return out, nil
}

// decode stores a percent-encoded component; an empty one counts as not given.
func (o settings) decode(name, s string) error {
	if s == "" {
		return nil
	}
	v, err := uriDecode(s)
	if err == nil {
		o[name] = v
	}
	return err
}

// uriHosts reads the list of hosts and ports up to the path or the parameters.
func (o settings) uriHosts(s string) (rest string, err error) {
	var hosts, ports []string
	for {
		var host, port string
		if strings.HasPrefix(s, "[") {
			i := strings.IndexByte(s, ']')
			if i < 0 {
				return "", errors.New("end of string reached when looking for matching \"]\" in IPv6 host address in URI")
			}
			if i == 1 {
				return "", errors.New("IPv6 host address may not be empty in URI")
			}
			host, s = s[1:i], s[i+1:]
			if s != "" && !strings.ContainsRune(":/?,", rune(s[0])) {
				return "", fmt.Errorf("unexpected character %q after the IPv6 host address in URI (expected \":\" or \"/\")", s[0])
			}
		} else {
			host, s = cutAtAny(s, ":/?,")
		}
		if strings.HasPrefix(s, ":") {
			port, s = cutAtAny(s[1:], "/?,")
		}
		hosts, ports = append(hosts, host), append(ports, port)
		if !strings.HasPrefix(s, ",") {
			break
		}
		s = s[1:]
	}
	if err := o.decode("host", strings.Join(hosts, ",")); err != nil {
		return "", err
	}
	return s, o.decode("port", strings.Join(ports, ","))
}

// cutAtAny cuts before the first of the bytes in set.
func cutAtAny(s, set string) (before, rest string) {
	if i := strings.IndexAny(s, set); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func (o settings) uriParams(s string) error {
	for s != "" {
		pair, rest, _ := strings.Cut(s, "&")
		s = rest
		rawName, rawValue, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("missing key/value separator \"=\" in URI query parameter: %q", rawName)
		}
		if strings.Contains(rawValue, "=") {
			return fmt.Errorf("extra key/value separator \"=\" in URI query parameter: %q", rawName)
		}
		name, err := uriDecode(rawName)
		if err != nil {
			return err
		}
		value, err := uriDecode(rawValue)
		if err != nil {
			return err
		}
		if name == "ssl" && value == "true" { // for JDBC's URIs
			name, value = "sslmode", "require"
		}
		if findKeyword(name) == nil {
			return fmt.Errorf("invalid URI query parameter: %q", name)
		}
		o[name] = value
	}
	return nil
}

// uriDecode undoes percent-encoding; "+" stays as it is.
func uriDecode(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return strings.TrimSpace(s), nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("invalid percent-encoded token in URI: two hexadecimal digits are expected after \"%\"")
		}
		v, err := parseHex32(s[i+1 : i+3])
		if err != nil {
			return "", errors.New("invalid percent-encoded token in URI: two hexadecimal digits are expected after \"%\"")
		}
		if v == 0 {
			return "", errors.New("forbidden value %00 in percent-encoded value in URI")
		}
		b.WriteByte(byte(v))
		i += 2
	}
	return b.String(), nil
}
