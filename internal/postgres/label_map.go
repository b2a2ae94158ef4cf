package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// ErrTablespaceMap is wrapped by all errors about a tablespace_map that cannot be read.
var ErrTablespaceMap = errors.New("invalid tablespace_map")

// TablespaceLink is one line of tablespace_map: pg_tblspc/<OID> is a symbolic link to Location.
type TablespaceLink struct {
	OID      uint32
	Location string
}

// ParseTablespaceMap reads a tablespace_map by the rules of the server's version (read_tablespace_map): a backslash before a line end makes it part of the
// location; since 14 a backslash escapes any character, before it stands for itself.
func ParseTablespaceMap(data []byte, serverVersion int) ([]TablespaceLink, error) {
	var links []TablespaceLink
	var line []byte
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case c == '\\' && i+1 < len(data) && (data[i+1] == '\n' || data[i+1] == '\r' || escapesBackslash(serverVersion)):
			i++
			line = append(line, data[i])
		case c == '\n' || c == '\r':
			if len(line) == 0 { // the second half of CR LF
				continue
			}
			link, err := parseTablespaceLink(line)
			if err != nil {
				return nil, err
			}
			links, line = append(links, link), line[:0]
		default:
			line = append(line, c)
		}
	}
	if len(line) > 0 {
		return nil, fmt.Errorf("%w: the last line %q has no line end", ErrTablespaceMap, line)
	}
	return links, nil
}

func parseTablespaceLink(line []byte) (TablespaceLink, error) {
	oid, location, ok := bytes.Cut(line, []byte(" "))
	n, err := strconv.ParseUint(string(oid), 10, 32)
	if !ok || err != nil || n == 0 || len(location) == 0 {
		return TablespaceLink{}, fmt.Errorf("%w: line %q is not an object id and a location", ErrTablespaceMap, line)
	}
	return TablespaceLink{OID: uint32(n), Location: string(location)}, nil
}

// TablespaceMap renders links as a server of that version reads them.
func TablespaceMap(links []TablespaceLink, serverVersion int) []byte {
	var b bytes.Buffer
	for _, l := range links {
		fmt.Fprintf(&b, "%d ", l.OID)
		for i := range len(l.Location) {
			if c := l.Location[i]; c == '\n' || c == '\r' || c == '\\' && escapesBackslash(serverVersion) {
				b.WriteByte('\\')
			}
			b.WriteByte(l.Location[i])
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func escapesBackslash(serverVersion int) bool { return Major(serverVersion) >= 14 }
