package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// ErrChecksumFailure is what Finish returns when the server found pages with a wrong checksum. The backup was delivered as a whole, and its end
// position is valid; which pages they are was said in warnings (Config.OnNotice).
var ErrChecksumFailure = errors.New("checksum error occurred")

// Tablespace is one row of the header of a base backup, and one archive in it.
type Tablespace struct {
	OID      uint32 // 0 for the data directory
	Location string // absolute path on the server; "" for the data directory
	SizeKB   int64  // the server's estimate in kB; -1 when it was not asked for
	Shared   bool   // PolarDB's shared data directory
}

// BaseBackup is a BASE_BACKUP under way. Call Next until io.EOF, then Finish.
type BaseBackup struct {
	StartLSN      LSN
	StartTimeline uint32
	// Tablespaces has user tablespaces first, then the data directory, then PolarDB's shared directory (which the server adds by itself).
	Tablespaces []Tablespace
	// Polar says that the server is a PolarDB, by the fourth column of the header. Shared storage is in use when a tablespace is Shared.
	Polar bool

	c    *Conn
	stop func(error) error // ends the watch of the context

	single  bool // 15 and later: one copy for all, archives announced in it
	inCopy  bool // between CopyOutResponse and CopyDone
	inData  bool // the current message is data that was not handed out yet
	copies  int  // copies begun, before 15
	archive bool // an archive is open
	kind    ItemKind
	err     error
	pending byte // type of a message of the copy that waits until the archive before it was closed
	done    bool // all copies were read; the description of the end position is the current message
}

// BaseBackup runs a command of BuildBaseBackup and reads up to the start position and the list of tablespaces; with a spread checkpoint that takes
// minutes. ctx holds for the whole backup: its end cuts the connection.
func (c *Conn) BaseBackup(ctx context.Context, command string) (*BaseBackup, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	b := &BaseBackup{c: c, stop: c.watch(ctx)}
	if err := b.start(command); err != nil {
		return nil, b.stop(fmt.Errorf("could not initiate base backup: %w", err))
	}
	c.busy = "BASE_BACKUP"
	return b, nil
}

func (b *BaseBackup) start(command string) error {
	if err := b.c.sendQuery(command); err != nil {
		return b.c.fail(err)
	}
	_, rows, err := b.c.result()
	if err != nil {
		return err
	}
	if b.StartLSN, b.StartTimeline, err = position(rows); err != nil {
		return b.c.fail(err)
	}
	columns, rows, err := b.c.result()
	if err != nil {
		return err
	}
	if err := b.header(columns, rows); err != nil {
		return b.c.fail(err)
	}
	b.single = b.c.ServerVersion() >= 150000
	return nil
}

// result reads one result set up to its CommandComplete.
func (c *Conn) result() (columns []string, rows []Row, err error) {
	typ, _, err := c.next()
	if err != nil {
		return nil, nil, c.fail(err)
	}
	return c.resultFrom(typ)
}

// resultFrom is result with its first message begun.
func (c *Conn) resultFrom(typ byte) (columns []string, rows []Row, err error) {
	total := 0
	for ; ; typ, _, err = c.next() {
		if err != nil {
			return nil, nil, c.fail(err)
		}
		switch typ {
		case 'T':
			if columns, err = c.rowDescription(); err != nil {
				return nil, nil, c.fail(err)
			}
		case 'D':
			if rows, err = c.addRow(rows, c.wire.left, &total); err != nil {
				return nil, nil, c.fail(err)
			}
		case 'C':
			if columns == nil {
				continue // the CommandComplete of a result before
			}
			return columns, rows, nil
		case 'E':
			err := c.serverError()
			c.sync()
			return nil, nil, err
		default:
			return nil, nil, c.fail(protocolErrorf("message of type %q in place of a result", typ))
		}
	}
}

// position reads the result that tells where a backup starts or ends.
func position(rows []Row) (LSN, uint32, error) {
	if len(rows) != 1 || len(rows[0]) < 2 {
		return 0, 0, protocolErrorf("a position of the write-ahead log is expected, got %d rows", len(rows))
	}
	lsn, err := ParseLSN(rows[0].text(0))
	if err != nil {
		return 0, 0, err
	}
	tli, err := parseTimeline(rows[0].text(1))
	return lsn, tli, err
}

// header reads the list of tablespaces: spcoid, spclocation, size, and with PolarDB shared_storage. The shared directory is the row with no location and
// shared_storage '1'; PolarDB 11 also marks user tablespaces so, which have a location.
func (b *BaseBackup) header(columns []string, rows []Row) error {
	if len(columns) < 3 || len(rows) == 0 {
		return protocolErrorf("header of the base backup has %d columns and %d rows", len(columns), len(rows))
	}
	b.Polar = len(columns) >= 4 && columns[3] == "shared_storage"
	for _, row := range rows {
		if len(row) != len(columns) {
			return protocolErrorf("header of the base backup has a row of %d fields", len(row))
		}
		t := Tablespace{SizeKB: -1, Location: row.text(1)}
		if row[0] != nil {
			oid, err := strconv.ParseUint(row.text(0), 10, 32)
			if err != nil || oid == 0 || row[1] == nil {
				return protocolErrorf("tablespace %q at %q", row.text(0), row.text(1))
			}
			t.OID = uint32(oid)
		}
		if row[2] != nil {
			size, err := strconv.ParseInt(row.text(2), 10, 64)
			if err != nil || size < 0 {
				return protocolErrorf("size %q of a tablespace", row.text(2))
			}
			t.SizeKB = size
		}
		t.Shared = b.Polar && row[1] == nil && row.text(3) == "1"
		b.Tablespaces = append(b.Tablespaces, t)
	}
	return nil
}

// Finish reads the end of the backup; call it after Next returned io.EOF. The connection can then be used again, unless err says otherwise.
func (b *BaseBackup) Finish() (end LSN, tli uint32, err error) {
	if b.err != nil {
		return 0, 0, b.err
	}
	if !b.done {
		return 0, 0, errors.New("base backup is finished before all of it was read")
	}
	end, tli, err = b.finish()
	b.err = errors.New("base backup is finished")
	return end, tli, b.stop(err)
}

func (b *BaseBackup) finish() (LSN, uint32, error) {
	_, rows, err := b.c.resultFrom('T')
	if err != nil {
		b.c.busy = ""
		return 0, 0, fmt.Errorf("backup failed: %w", err)
	}
	end, tli, err := position(rows)
	if err != nil {
		return 0, 0, b.c.fail(fmt.Errorf("could not read the end position of the backup: %w", err))
	}
	err = b.c.sync()
	b.c.busy = ""
	switch {
	case SQLState(err) == "XX001": // ERRCODE_DATA_CORRUPTED, basebackup.c: perform_base_backup
		return end, tli, fmt.Errorf("%w: %w", ErrChecksumFailure, err)
	case err != nil:
		return end, tli, fmt.Errorf("final receive failed: %w", err)
	}
	return end, tli, nil
}
