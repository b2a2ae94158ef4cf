package polardouble

import (
	"strings"
)

// backupCommand is a BASE_BACKUP command.
type backupCommand struct {
	sql           string // for the real server: without compression, which is done after the archives are sorted
	progress      bool
	tablespaceMap bool
	wal           bool
	encode        bool   // MANIFEST 'force-encode'
	compression   string // gzip, lz4, zstd or ""
	target        string
}

// parseBackup recognizes BASE_BACKUP. Only 15's parenthesized form and 11's keyword form come here with meaning; errors of syntax are left to the real
// server.
func parseBackup(sql string, major int) (backupCommand, bool) {
	rest := strings.TrimSpace(sql)
	const name = "BASE_BACKUP"
	if len(rest) < len(name) || !strings.EqualFold(rest[:len(name)], name) {
		return backupCommand{}, false
	}
	rest = rest[len(name):]
	if rest != "" && !strings.ContainsRune(" \t\n(;", rune(rest[0])) {
		return backupCommand{}, false
	}
	rest = strings.TrimSpace(strings.TrimSuffix(rest, ";"))
	c := backupCommand{sql: sql, target: "client"}
	if major == 11 {
		for _, w := range words(rest) {
			switch strings.ToUpper(w) {
			case "PROGRESS":
				c.progress = true
			case "TABLESPACE_MAP":
				c.tablespaceMap = true
			case "WAL":
				c.wal = true
			}
		}
		return c, true
	}
	if !strings.HasPrefix(rest, "(") || !strings.HasSuffix(rest, ")") {
		return c, true
	}
	var kept []string
	for _, option := range splitOptions(rest[1 : len(rest)-1]) {
		w := words(option)
		if len(w) == 0 {
			continue
		}
		value := ""
		if len(w) > 1 {
			value = strings.Trim(w[1], "'")
		}
		on := len(w) == 1 || strings.EqualFold(value, "true") || value == "1" || strings.EqualFold(value, "on")
		switch strings.ToUpper(w[0]) {
		case "PROGRESS":
			c.progress = on
		case "TABLESPACE_MAP":
			c.tablespaceMap = on
		case "WAL":
			c.wal = on
		case "MANIFEST":
			c.encode = value == "force-encode"
		case "TARGET":
			c.target = value
		case "COMPRESSION":
			c.compression = strings.ToLower(value)
			continue
		case "COMPRESSION_DETAIL":
			continue
		}
		kept = append(kept, option)
	}
	c.sql = name + " (" + strings.Join(kept, ",") + ")"
	return c, true
}

// words splits at white space outside of quotes.
func words(s string) []string {
	var list []string
	var b strings.Builder
	quoted := false
	for _, r := range s + " " {
		switch {
		case r == '\'':
			quoted = !quoted
			b.WriteRune(r)
		case !quoted && strings.ContainsRune(" \t\n", r):
			if b.Len() > 0 {
				list = append(list, b.String())
				b.Reset()
			}
		default:
			b.WriteRune(r)
		}
	}
	return list
}

// splitOptions splits at commas outside of quotes.
func splitOptions(s string) []string {
	var list []string
	start, quoted := 0, false
	for i, r := range s {
		switch {
		case r == '\'':
			quoted = !quoted
		case r == ',' && !quoted:
			list = append(list, s[start:i])
			start = i + 1
		}
	}
	return append(list, s[start:])
}
