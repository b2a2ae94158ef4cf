package postgres

import (
	"fmt"
	"strings"
)

// settings are connection parameters by keyword.
type settings map[string]string

// parseConnString reads a connection string in either form of libpq.
func parseConnString(s string) (settings, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, fmt.Errorf("a connection string cannot hold a zero byte")
	}
	for _, scheme := range []string{"postgresql://", "postgres://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return parseURI(rest)
		}
	}
	return parseKeywordValue(s)
}

const connSpace = " \t\n\r\v\f"

// parseKeywordValue reads "host=… port='…'", as conninfo_parse in fe-connect.c.
func parseKeywordValue(s string) (settings, error) {
	out := settings{}
	for {
		s = strings.TrimLeft(s, connSpace)
		if s == "" {
			return out, nil
		}
		i := strings.IndexAny(s, "="+connSpace)
		if i < 0 {
			return nil, fmt.Errorf("missing \"=\" after %q in connection info string", s)
		}
		name := s[:i]
		s = strings.TrimLeft(s[i:], connSpace)
		if !strings.HasPrefix(s, "=") {
			return nil, fmt.Errorf("missing \"=\" after %q in connection info string", name)
		}
		value, rest, err := connValue(strings.TrimLeft(s[1:], connSpace))
		if err != nil {
			return nil, err
		}
		if findKeyword(name) == nil {
			return nil, fmt.Errorf("invalid connection option %q", name)
		}
		out[name] = value
		s = rest
	}
}

// connValue takes a value off s: bare up to white space, or in single quotes; a backslash takes the next character as it is.
func connValue(s string) (value, rest string, err error) {
	var b strings.Builder
	quoted := strings.HasPrefix(s, "'")
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case quoted && s[i] == '\'':
			return b.String(), s[i+1:], nil
		case !quoted && strings.IndexByte(connSpace, s[i]) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(s[i])
		}
	}
	if quoted {
		return "", "", fmt.Errorf("unterminated quoted string in connection info string")
	}
	return b.String(), "", nil
}

// quoteConnValue writes a value so that connValue reads it back; plain ones stay bare, as appendConnStrVal in fe_utils/string_utils.c has it.
func quoteConnValue(s string) string {
	plain := s != ""
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
