package postgres

import "strings"

// scanConfLine reads one line by the rules of guc-file.l: name, an optional equals sign, one value, an optional comment. A line that does not fit
// has an empty name.
func scanConfLine(text, end string) confLine {
	l := confLine{text: text, end: end}
	i := skipConfSpace(text, 0)
	nameStart := i
	for i < len(text) && isConfNameByte(text[i]) {
		i++
	}
	name := text[nameStart:i]
	if !validConfName(name) {
		return l
	}
	i = skipConfSpace(text, i)
	if i < len(text) && text[i] == '=' {
		i = skipConfSpace(text, i+1)
	}
	start := i
	value, i, ok := scanConfValue(text, i)
	if !ok {
		return l
	}
	stop := i
	if i = skipConfSpace(text, i); i < len(text) && text[i] != '#' {
		return l
	}
	l.name, l.value, l.valueStart, l.valueEnd = strings.ToLower(name), value, start, stop
	return l
}

// scanConfValue reads a quoted string, or a bare word (the union of guc-file.l's UNQUOTED_STRING, INTEGER and REAL).
func scanConfValue(text string, i int) (value string, next int, ok bool) {
	if i >= len(text) {
		return "", i, false
	}
	if text[i] == '\'' {
		return scanConfString(text, i+1)
	}
	start := i
	for i < len(text) && isConfWordByte(text[i]) {
		i++
	}
	return text[start:i], i, i > start
}

// scanConfString undoes the escapes as DeescapeQuotedString in guc-file.l does: a doubled quote, and backslash escapes with up to three octal digits.
func scanConfString(text string, i int) (value string, next int, ok bool) {
	var b strings.Builder
	for i < len(text) {
		c := text[i]
		i++
		switch c {
		case '\'':
			if i < len(text) && text[i] == '\'' {
				b.WriteByte('\'')
				i++
				continue
			}
			return b.String(), i, true
		case '\\':
			if i >= len(text) {
				return "", i, false
			}
			c = text[i]
			i++
			if c >= '0' && c <= '7' {
				v := c - '0'
				for n := 1; n < 3 && i < len(text) && text[i] >= '0' && text[i] <= '7'; n++ {
					v = v<<3 + text[i] - '0'
					i++
				}
				b.WriteByte(v)
				continue
			}
			if k := strings.IndexByte("bfnrt", c); k >= 0 {
				c = "\b\f\n\r\t"[k]
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "", i, false
}

// QuoteConfValue writes value as a configuration file holds it: a plain word or number (64MB, on, latest) stays bare, everything else is quoted with
// quotes and backslashes doubled (escape_single_quotes_ascii) and line ends as \n and \r, which the server turns back.
func QuoteConfValue(value string) string {
	if isBareConfValue(value) {
		return value
	}
	var b strings.Builder
	b.WriteByte('\'')
	for i := 0; i < len(value); i++ {
		switch c := value[i]; c {
		case '\'', '\\':
			b.WriteByte(c)
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// isBareConfValue is stricter than the server: a letter followed by letters, digits and underscores, or digits with an optional unit.
func isBareConfValue(v string) bool {
	if v == "" {
		return false
	}
	i := 0
	if v[0] == '-' {
		i = 1
	}
	digits := i
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	if i == digits {
		if digits > 0 {
			return false
		}
		for ; i < len(v); i++ {
			if c := v[i]; !isASCIILetter(c) && c != '_' && (i == 0 || c < '0' || c > '9') {
				return false
			}
		}
		return true
	}
	for ; i < len(v); i++ {
		if !isASCIILetter(v[i]) {
			return false
		}
	}
	return true
}

func validConfName(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	for _, part := range strings.Split(name, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' || part[0] == '$' {
			return false
		}
		for i := 0; i < len(part); i++ {
			if !isConfNameByte(part[i]) {
				return false
			}
		}
	}
	return true
}

func skipConfSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

func isASCIILetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isConfNameByte(c byte) bool {
	return isASCIILetter(c) || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '$' || c >= 0x80
}

func isConfWordByte(c byte) bool {
	return isASCIILetter(c) || c >= '0' && c <= '9' || c >= 0x80 || strings.IndexByte("_.-:/+", c) >= 0
}
