package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Row is one row of a result in text format; a nil field is NULL.
type Row [][]byte

// text gives a field as a string, "" for NULL.
func (r Row) text(i int) string {
	if i >= len(r) {
		return ""
	}
	return string(r[i])
}

// maxResult bounds a result in bytes: those of the replication protocol have a row each, or one for each tablespace.
const maxResult = 64 << 20

// addRow reads the DataRow of n bytes that next has begun; total counts the bytes of the result.
func (c *Conn) addRow(rows []Row, n int, total *int) ([]Row, error) {
	if *total += n; *total > maxResult {
		return nil, protocolErrorf("result of more than %d bytes", maxResult)
	}
	row, err := c.dataRow()
	return append(rows, row), err
}

// Query runs a command by the simple protocol and gives the rows of its last result that had any. On a replication connection these are the commands
// of that protocol.
func (c *Conn) Query(ctx context.Context, sql string) ([]Row, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	done := c.watch(ctx)
	rows, err := c.query(sql)
	return rows, done(err)
}

func (c *Conn) query(sql string) ([]Row, error) {
	if err := c.sendQuery(sql); err != nil {
		return nil, c.fail(err)
	}
	var rows []Row
	total := 0
	for {
		typ, n, err := c.next()
		if err != nil {
			return nil, c.fail(err)
		}
		switch typ {
		case 'T':
			rows = nil
		case 'D':
			if rows, err = c.addRow(rows, n, &total); err != nil {
				return nil, c.fail(err)
			}
		case 'E':
			err := c.serverError()
			c.sync()
			return nil, err
		case 'Z':
			return rows, nil
		case 'C', 'I':
		default:
			return nil, c.fail(protocolErrorf("message of type %q after a command", typ))
		}
	}
}

func (c *Conn) sendQuery(sql string) error {
	if strings.IndexByte(sql, 0) >= 0 {
		return fmt.Errorf("a command cannot hold a zero byte: %q", sql)
	}
	return c.sendMessage('Q', []byte(sql), []byte{0})
}

// dataRow reads the DataRow that next has begun. The fields are copies.
func (c *Conn) dataRow() (Row, error) {
	body, err := c.wire.body()
	if err != nil {
		return nil, err
	}
	if len(body) < 2 {
		return nil, protocolErrorf("row of %d bytes", len(body))
	}
	n := int(binary.BigEndian.Uint16(body))
	body = append([]byte(nil), body[2:]...)
	if n*4 > len(body) {
		return nil, protocolErrorf("row of %d columns in %d bytes", n, len(body))
	}
	row := make(Row, n)
	for i := range row {
		if len(body) < 4 {
			return nil, protocolErrorf("row ends in column %d of %d", i, n)
		}
		length := int32(binary.BigEndian.Uint32(body))
		body = body[4:]
		if length == -1 {
			continue
		}
		if length < 0 || int(length) > len(body) {
			return nil, protocolErrorf("column %d has length %d, %d bytes are left", i, length, len(body))
		}
		row[i] = body[:length:length]
		body = body[length:]
	}
	return row, nil
}

// rowDescription gives the number of columns and their names of the RowDescription that next has begun.
func (c *Conn) rowDescription() ([]string, error) {
	body, err := c.wire.body()
	if err != nil {
		return nil, err
	}
	if len(body) < 2 {
		return nil, protocolErrorf("row description of %d bytes", len(body))
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	var names []string
	for range n {
		name, rest, ok := cutString(body)
		if !ok || len(rest) < 18 {
			return nil, protocolErrorf("row description is cut short")
		}
		names = append(names, name)
		body = rest[18:]
	}
	return names, nil
}

// oneRow runs a command that answers with one row of at least columns fields.
func (c *Conn) oneRow(ctx context.Context, sql string, columns int) (Row, error) {
	rows, err := c.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || len(rows[0]) < columns {
		got := 0
		if len(rows) > 0 {
			got = len(rows[0])
		}
		return nil, protocolErrorf("%s: got %d rows and %d fields, expected %d rows and %d or more fields", sql, len(rows), got, 1, columns)
	}
	return rows[0], nil
}

// Show gives a setting of the server. On a replication connection it needs a server of version 10 or later.
func (c *Conn) Show(ctx context.Context, name string) (string, error) {
	for _, r := range []byte(name) {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '.' {
			return "", fmt.Errorf("invalid name of a setting: %q", name)
		}
	}
	row, err := c.oneRow(ctx, "SHOW "+name, 1)
	if err != nil {
		return "", fmt.Errorf("could not read setting %s: %w", name, err)
	}
	return row.text(0), nil
}

// System is the answer to IDENTIFY_SYSTEM.
type System struct {
	ID       string // system identifier, a decimal number of 64 bits
	Timeline uint32 // current timeline
	XLogPos  LSN    // current flush position
	DBName   string // connected database, "" on a connection for physical replication
}

// IdentifySystem asks who the server is; replication connections only.
func (c *Conn) IdentifySystem(ctx context.Context) (System, error) {
	row, err := c.oneRow(ctx, "IDENTIFY_SYSTEM", 3)
	if err != nil {
		return System{}, fmt.Errorf("could not identify system: %w", err)
	}
	tli, err := parseTimeline(row.text(1))
	if err != nil {
		return System{}, err
	}
	pos, err := ParseLSN(row.text(2))
	if err != nil {
		return System{}, err
	}
	return System{ID: row.text(0), Timeline: tli, XLogPos: pos, DBName: row.text(3)}, nil
}

func parseTimeline(s string) (uint32, error) {
	tli, err := strconv.ParseUint(s, 10, 32)
	if err != nil || tli == 0 {
		return 0, protocolErrorf("timeline %q", s)
	}
	return uint32(tli), nil
}

// versionNumber turns server_version into the form of server_version_num, as libpq's PQserverVersion does: "15.18 (Debian …)" is 150018,
// "11.9" 110009, "17beta2" 170000. 0 when it cannot be read.
func versionNumber(s string) int {
	part := func() (int, bool) {
		n, i := 0, 0
		for i < len(s) && i < 6 && s[i] >= '0' && s[i] <= '9' {
			n = n*10 + int(s[i]-'0')
			i++
		}
		s = s[i:]
		return n, i > 0
	}
	major, ok := part()
	if !ok {
		return 0
	}
	minor, revision := 0, 0
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		minor, _ = part()
	}
	if major >= 10 {
		return major*10000 + minor
	}
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		revision, _ = part()
	}
	return major*10000 + minor*100 + revision
}
