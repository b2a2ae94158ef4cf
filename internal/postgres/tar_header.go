package postgres

import (
	"bytes"
	"strconv"
	"strings"
)

// parseTarHeader reads a block of ustar or GNU tar; typ is its type flag. Layout: POSIX.1 pax, "ustar Interchange Format"; PostgreSQL writes it in
// src/port/tar.c.
func parseTarHeader(b []byte, h *TarHeader) (typ byte, err error) {
	if err := checkTarSum(b); err != nil {
		return 0, err
	}
	*h = TarHeader{RawName: fieldString(b[0:100]), Link: fieldString(b[157:257])}
	typ = b[156]
	if bytes.Equal(b[257:263], []byte("ustar\x00")) { // GNU's magic has a space there, and other things in place of the prefix
		if prefix := fieldString(b[345:500]); prefix != "" {
			h.RawName = prefix + "/" + h.RawName
		}
	}
	numbers := []struct {
		field []byte
		what  string
		max   int64
		into  func(int64)
	}{
		{b[100:108], "mode", 1<<32 - 1, func(v int64) { h.Mode = uint32(v) & 0o7777 }},
		{b[108:116], "user", 1<<32 - 1, func(v int64) { h.UID = uint32(v) }},
		{b[116:124], "group", 1<<32 - 1, func(v int64) { h.GID = uint32(v) }},
		{b[124:136], "size", maxTarSize, func(v int64) { h.Size = v }},
		{b[136:148], "time", 1<<62 - 1, func(v int64) { h.ModTime = v }},
	}
	for _, n := range numbers {
		v, ok := tarNumber(n.field)
		if !ok || v < 0 || v > n.max {
			return 0, tarErrorf("invalid %s %q of %q", n.what, n.field, h.RawName)
		}
		n.into(v)
	}
	return typ, nil
}

// maxTarSize bounds the size of a member in bytes, so that sums with its padding cannot overflow.
const maxTarSize = 1<<62 - 1

// tarNumber reads a number: octal digits with spaces or zero bytes around them, or base 256 when the first bit is set, which PostgreSQL uses for files of 8 GiB
// and more (print_tar_number).
func tarNumber(b []byte) (int64, bool) {
	if b[0]&0x80 != 0 {
		if b[0] != 0x80 { // negative, or more than 64 bits
			return 0, false
		}
		var v uint64
		for _, c := range b[1:] {
			if v>>55 != 0 {
				return 0, false
			}
			v = v<<8 | uint64(c)
		}
		return int64(v), true
	}
	b = bytes.Trim(b, " \x00")
	if len(b) == 0 {
		return 0, true
	}
	var v int64
	for _, c := range b {
		if c < '0' || c > '7' {
			return 0, false
		}
		v = v<<3 | int64(c-'0')
	}
	return v, true
}

// checkTarSum compares the sum of the header's bytes, with the field of the sum taken as spaces; some programs sum signed bytes.
func checkTarSum(b []byte) error {
	want, ok := tarNumber(b[148:156])
	var unsigned, signed int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	if !ok || want != unsigned && want != signed {
		return tarErrorf("wrong checksum of a header")
	}
	return nil
}

// fieldString is a field up to its first zero byte.
func fieldString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// cleanTarName brings a name into the form of TarHeader.Name and says why it is unsafe.
func cleanTarName(raw string) (name string, unsafe error) {
	name = raw
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[1:], "/")
	}
	if trimmed := strings.TrimRight(name, "/"); trimmed != "" || name == "" {
		name = trimmed
	}
	if name == "." {
		name = ""
	}
	if strings.HasPrefix(name, "/") || strings.Contains(name, "://") {
		return name, ErrTarAbsolute
	}
	if name == "" {
		return "", nil
	}
	for _, e := range strings.Split(name, "/") {
		if e == "" || e == "." || e == ".." {
			return name, ErrTarElement
		}
	}
	return name, nil
}

// tarOverrides are what extension headers say about the next member.
type tarOverrides struct {
	path, link       string
	size, mtime      int64
	hasSize, hasTime bool
}

// finish completes the header of a member.
func (o *tarOverrides) finish(h *TarHeader, typ byte) {
	if o.path != "" {
		h.RawName = o.path
	}
	if o.link != "" {
		h.Link = o.link
	}
	if o.hasSize {
		h.Size = o.size
	}
	if o.hasTime {
		h.ModTime = o.mtime
	}
	h.Name, h.Unsafe = cleanTarName(h.RawName)
	h.Type = TarType(typ)
	switch typ {
	case '0', 0, '7':
		h.Type = TarRegular
		if strings.HasSuffix(h.RawName, "/") { // as the oldest format has it
			h.Type, h.Size = TarDirectory, 0
		}
	case '1', '2', '3', '4', '5', '6': // such a member has no contents, whatever the field says
		h.Size = 0
	}
	if h.Type != TarSymlink {
		h.Link = ""
	}
}

// maxTarMeta bounds an extension header in bytes; paths are at most 4096.
const maxTarMeta = 64 << 10

// beginMeta begins an extension header.
func (t *TarReader) beginMeta(typ byte) error {
	if t.header.Size > maxTarMeta {
		return tarErrorf("extension header of %d bytes", t.header.Size)
	}
	t.meta, t.metaTyp = t.meta[:0], typ
	if t.state = tarMeta; t.left == 0 {
		t.state = tarHeader
	}
	return nil
}

// apply takes in the contents of an extension header: long names of GNU tar ('L', 'K'), or records of pax ('x'). Those for all members ('g') are passed over.
func (o *tarOverrides) apply(typ byte, meta []byte) error {
	switch typ {
	case 'L':
		o.path = fieldString(meta)
	case 'K':
		o.link = fieldString(meta)
	case 'x':
		return o.pax(meta)
	}
	return nil
}

// pax reads records of the form "<length> <key>=<value>\n".
func (o *tarOverrides) pax(b []byte) error {
	for len(b) > 0 {
		sp := bytes.IndexByte(b, ' ')
		if sp < 1 || sp > 6 {
			return tarErrorf("invalid pax record")
		}
		length, err := strconv.ParseUint(string(b[:sp]), 10, 31)
		if err != nil || int(length) > len(b) || int(length) < sp+2 || b[length-1] != '\n' {
			return tarErrorf("invalid length of a pax record")
		}
		key, value, ok := strings.Cut(string(b[sp+1:length-1]), "=")
		if !ok || strings.IndexByte(value, 0) >= 0 {
			return tarErrorf("invalid pax record %q", key)
		}
		b = b[length:]
		switch key {
		case "path":
			o.path = value
		case "linkpath":
			o.link = value
		case "size":
			v, err := strconv.ParseUint(value, 10, 62)
			if err != nil {
				return tarErrorf("invalid pax size %q", value)
			}
			o.size, o.hasSize = int64(v), true
		case "mtime":
			whole, _, _ := strings.Cut(value, ".")
			v, err := strconv.ParseInt(whole, 10, 62)
			if err != nil || v < 0 {
				return tarErrorf("invalid pax time %q", value)
			}
			o.mtime, o.hasTime = v, true
		}
	}
	return nil
}
