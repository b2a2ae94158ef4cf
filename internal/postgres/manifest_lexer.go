package postgres

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxManifestToken bounds strings and numbers, in bytes. Paths are shorter than 1 KiB on a server, six times that when every byte is escaped.
const maxManifestToken = 16 << 10

// jsonLexer cuts JSON that arrives in pieces of any size into tokens. It knows tokens only; what may follow what is its user's business.
// kind is one of {}[]:, or 's' string, 'n' number, 'l' literal (true, false, null). text is valid during the call.
type jsonLexer struct {
	emit  func(kind byte, text []byte) error
	buf   []byte
	state byte // 0 between tokens, 's' in a string, '\\' after a backslash, 'u' in \uXXXX, 'n' number, 'l' literal
	hex   uint32
	hexN  int
	high  rune // first half of a surrogate pair, 0 when none is pending
}

func (l *jsonLexer) feed(p []byte) error {
	for i := 0; i < len(p); {
		if l.state == 's' && l.high == 0 { // the bulk of a manifest: plain bytes of strings
			j := i
			for j < len(p) && p[j] != '"' && p[j] != '\\' && p[j] >= 0x20 {
				j++
			}
			if err := l.add(p[i:j]...); err != nil {
				return err
			}
			if i = j; i == len(p) {
				return nil
			}
		}
		again, err := l.step(p[i])
		if err != nil {
			return err
		}
		if !again {
			i++
		}
	}
	return nil
}

// step takes one byte. again means that the byte ended a number or literal and is to be looked at once more.
func (l *jsonLexer) step(c byte) (again bool, err error) {
	switch l.state {
	case 's':
		return false, l.stepString(c)
	case '\\':
		return false, l.stepEscape(c)
	case 'u':
		return false, l.stepHex(c)
	case 'n', 'l':
		if isASCIILetter(c) || c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
			return false, l.add(c)
		}
		return true, l.finish(l.state)
	}
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
	case c == '"':
		l.state = 's'
	case c == '{' || c == '}' || c == '[' || c == ']' || c == ':' || c == ',':
		return false, l.emit(c, nil)
	case c == '-' || c >= '0' && c <= '9':
		l.state = 'n'
		return false, l.add(c)
	case isASCIILetter(c):
		l.state = 'l'
		return false, l.add(c)
	default:
		return false, fmt.Errorf("%w: unexpected byte %#02x", ErrManifest, c)
	}
	return false, nil
}

func (l *jsonLexer) stepString(c byte) error {
	switch {
	case c == '\\':
		l.state = '\\'
		return nil
	case l.high != 0:
		return fmt.Errorf("%w: half of a surrogate pair in a string", ErrManifest)
	case c == '"':
		return l.finish('s')
	case c < 0x20:
		return fmt.Errorf("%w: control character %#02x in a string", ErrManifest, c)
	}
	return l.add(c)
}

func (l *jsonLexer) stepEscape(c byte) error {
	l.state = 's'
	if c == 'u' {
		l.state, l.hex, l.hexN = 'u', 0, 0
		return nil
	}
	if l.high != 0 {
		return fmt.Errorf("%w: half of a surrogate pair in a string", ErrManifest)
	}
	switch c {
	case '"', '\\', '/':
		return l.add(c)
	case 'b':
		return l.add('\b')
	case 'f':
		return l.add('\f')
	case 'n':
		return l.add('\n')
	case 'r':
		return l.add('\r')
	case 't':
		return l.add('\t')
	}
	return fmt.Errorf("%w: unknown escape \\%c in a string", ErrManifest, c)
}

func (l *jsonLexer) stepHex(c byte) error {
	switch {
	case c >= '0' && c <= '9':
		c -= '0'
	case c >= 'a' && c <= 'f':
		c -= 'a' - 10
	case c >= 'A' && c <= 'F':
		c -= 'A' - 10
	default:
		return fmt.Errorf("%w: \\u is not followed by four hexadecimal digits", ErrManifest)
	}
	l.hex = l.hex<<4 | uint32(c)
	if l.hexN++; l.hexN < 4 {
		return nil
	}
	l.state = 's'
	r := rune(l.hex)
	switch {
	case l.high != 0:
		if r = utf16.DecodeRune(l.high, r); r == utf8.RuneError {
			return fmt.Errorf("%w: half of a surrogate pair in a string", ErrManifest)
		}
		l.high = 0
	case r >= 0xDC00 && r <= 0xDFFF:
		return fmt.Errorf("%w: half of a surrogate pair in a string", ErrManifest)
	case utf16.IsSurrogate(r):
		l.high = r
		return nil
	case r == 0:
		return fmt.Errorf("%w: a string contains \\u0000", ErrManifest)
	}
	return l.add(utf8.AppendRune(nil, r)...)
}

func (l *jsonLexer) add(b ...byte) error {
	if len(l.buf)+len(b) > maxManifestToken {
		return fmt.Errorf("%w: a string or number is longer than %d bytes", ErrManifest, maxManifestToken)
	}
	l.buf = append(l.buf, b...)
	return nil
}

func (l *jsonLexer) finish(kind byte) error {
	l.state = 0
	err := l.emit(kind, l.buf)
	l.buf = l.buf[:0]
	return err
}
