package checkpoint

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/source"
)

// backupMode is a session on the source that keeps it in backup mode for as long as its connection lives.
type backupMode struct {
	conn    *pgconn.PgConn
	version int
	label   string

	// Start is the position that the server gave; Redo, Checkpoint, Timeline and NextXID are those of the checkpoint that it begins with, from
	// one row of pg_control_checkpoint(). They are 0 when another checkpoint came between.
	Start, Redo, Checkpoint postgres.LSN
	Timeline                uint32
	NextXID                 uint64
}

// pingTimeout is how long the server may take to answer that a session lives.
const pingTimeout = 60 * time.Second

// enterBackupMode starts a session.
func enterBackupMode(ctx context.Context, conn *pgconn.PgConn, version int, label string, fast bool) (*backupMode, error) {
	m := &backupMode{conn: conn, version: version, label: label}
	on := "false"
	if fast {
		on = "true"
	}
	rows, err := query(ctx, conn, postgres.BackupStartSQL(version), label, on)
	if err != nil {
		return nil, fmt.Errorf("could not start backup mode: %w", err)
	}
	if m.Start, err = postgres.ParseLSN(string(rows[0][0])); err != nil {
		return nil, err
	}
	rows, err = query(ctx, conn, "SELECT redo_lsn, checkpoint_lsn, timeline_id, next_xid FROM pg_catalog.pg_control_checkpoint()")
	if err != nil {
		return nil, fmt.Errorf("could not read the checkpoint that backup mode started with: %w", err)
	}
	tli, err := strconv.ParseUint(string(rows[0][2]), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the server's timeline %q is not a number", rows[0][2])
	}
	m.Timeline = uint32(tli)
	redo, err := postgres.ParseLSN(string(rows[0][0]))
	if err != nil {
		return nil, err
	}
	if redo != m.Start {
		return m, nil // another checkpoint was quicker: its row is not ours
	}
	m.Redo = redo
	if m.Checkpoint, err = postgres.ParseLSN(string(rows[0][1])); err != nil {
		return nil, err
	}
	m.NextXID, err = parseXID(string(rows[0][3]))
	return m, err
}

// parseXID reads "epoch:xid", as pg_control_checkpoint() prints it.
func parseXID(s string) (uint64, error) {
	e, x, ok := strings.Cut(s, ":")
	epoch, err1 := strconv.ParseUint(e, 10, 32)
	xid, err2 := strconv.ParseUint(x, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("the server's next transaction id %q could not be understood", s)
	}
	return epoch<<32 | xid, nil
}

// alive returns an error when the session is gone.
func (m *backupMode) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := query(ctx, m.conn, "SELECT 1")
	return err
}

// leave ends backup mode. With archived the server first waits until its archive has the WAL that the backup needs, as BASE_BACKUP does for a
// backup that takes no WAL itself; it says so in notices.
func (m *backupMode) leave(ctx context.Context, archived bool) (end postgres.LSN, label, spaces []byte, err error) {
	sql := postgres.BackupStopSQL(m.version)
	// The two files are asked for as bytes, since they must be passed on exactly as they are.
	sql = strings.Replace(sql, "labelfile, spcmapfile", "pg_catalog.convert_to(labelfile, 'SQL_ASCII'), pg_catalog.convert_to(spcmapfile, 'SQL_ASCII')", 1)
	res := m.conn.ExecParams(ctx, sql, [][]byte{strconv.AppendBool(nil, archived)}, nil, nil, []int16{0, 1, 1}).Read()
	if res.Err != nil {
		return 0, nil, nil, fmt.Errorf("could not end backup mode: %w", res.Err)
	}
	if len(res.Rows) != 1 || len(res.Rows[0]) != 3 {
		return 0, nil, nil, fmt.Errorf("could not end backup mode: the server's answer has an unexpected form")
	}
	row := res.Rows[0]
	end, err = postgres.ParseLSN(string(row[0]))
	return end, row[1], row[2], err
}

// query runs one statement with text parameters and returns its rows, at least one, in text format.
func query(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][][]byte, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	res := conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	if len(res.Rows) == 0 {
		return nil, fmt.Errorf("the server's answer to %q is empty", sql)
	}
	return res.Rows, nil
}

// userSpaces asks for the tablespaces that people have made.
func userSpaces(ctx context.Context, conn *pgconn.PgConn) ([]messages.Tablespace, error) {
	res := conn.ExecParams(ctx, `SELECT oid, pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace
		WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid`, nil, nil, nil, []int16{1, 0}).Read()
	if res.Err != nil {
		return nil, fmt.Errorf("could not list the tablespaces: %w", res.Err)
	}
	var out []messages.Tablespace
	for _, r := range res.Rows {
		loc := string(r[1])
		if len(r[0]) != 4 || loc == "" || strings.HasPrefix(loc, "pg_tblspc/") {
			continue // made in place: an ordinary directory
		}
		out = append(out, messages.Tablespace{OID: binary.BigEndian.Uint32(r[0]), Location: loc, SizeKB: -1})
	}
	return out, nil
}

// within returns the places of tablespaces that lie in the data directory itself, relative to it: a server warns of them and allows them. Their files are read below
// pg_tblspc, like those of the others, and not a second time where they are (sendDir, backup/basebackup.c). A role that may not see data_directory
// leaves it to what the reader knows.
func within(ctx context.Context, conn *pgconn.PgConn, spaces []messages.Tablespace, src source.Reader) ([]string, error) {
	if len(spaces) == 0 {
		return nil, nil
	}
	rows, err := query(ctx, conn, "SELECT pg_catalog.min(setting) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'data_directory'")
	if err != nil {
		return nil, err
	}
	data := string(rows[0][0])
	if data == "" {
		data = source.DataDirectory(src)
	}
	var out []string
	for _, t := range spaces {
		if rel, ok := strings.CutPrefix(t.Location, strings.TrimRight(data, "/")+"/"); ok && data != "" {
			out = append(out, rel)
		}
	}
	return out, nil
}

// MayHoldBackupMode returns nil when the connection's role may enter and leave backup mode, else an error that names what has to be granted.
func MayHoldBackupMode(ctx context.Context, conn *pgconn.PgConn, version int) error {
	start, stop := postgres.BackupFunctions(version)
	functions := []string{start + "(text,boolean)", stop + "(boolean)"}
	if postgres.HasExclusiveBackup(version) {
		functions = []string{start + "(text,boolean,boolean)", stop + "(boolean,boolean)"}
	}
	var missing []string
	for _, f := range functions {
		rows, err := query(ctx, conn, "SELECT pg_catalog.has_function_privilege('pg_catalog."+f+"', 'EXECUTE'), pg_catalog.quote_ident(current_user)")
		if err != nil {
			return err
		}
		if string(rows[0][0]) == "t" {
			continue
		}
		missing = append(missing, f)
		if len(missing) == len(functions) {
			return fmt.Errorf("role %s may not hold backup mode; have a superuser run, in this database: GRANT EXECUTE ON FUNCTION %s TO %s",
				rows[0][1], strings.Join(missing, ", "), rows[0][1])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the role may not execute %s, which backup mode needs", strings.Join(missing, ", "))
	}
	return nil
}
