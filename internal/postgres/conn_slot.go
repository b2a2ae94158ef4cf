package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// quoteIdent quotes a name for the replication grammar.
func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteLiteral quotes a string for the replication grammar (repl_scanner.l), which knows no escape but the doubled quote.
func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// CreatePhysicalSlot makes a replication slot. reserveWAL makes it hold WAL from now on, not only from its first use. A temporary slot lives as long
// as this connection.
func (c *Conn) CreatePhysicalSlot(ctx context.Context, name string, temporary, reserveWAL bool) error {
	cmd := "CREATE_REPLICATION_SLOT " + quoteIdent(name)
	if temporary {
		cmd += " TEMPORARY"
	}
	cmd += " PHYSICAL"
	if reserveWAL {
		if c.ServerVersion() >= 150000 {
			cmd += " ( RESERVE_WAL)" // the space is the original's, whose error names the command
		} else {
			cmd += " RESERVE_WAL"
		}
	}
	if _, err := c.oneRow(ctx, cmd, 4); err != nil {
		return fmt.Errorf("could not send replication command \"%s\": %w", cmd, err)
	}
	return nil
}

// DropSlot drops a slot; wait waits until nobody uses it, instead of failing.
func (c *Conn) DropSlot(ctx context.Context, name string, wait bool) error {
	cmd := "DROP_REPLICATION_SLOT " + quoteIdent(name)
	if wait {
		cmd += " WAIT"
	}
	if _, err := c.Query(ctx, cmd); err != nil {
		return fmt.Errorf("could not send replication command \"DROP_REPLICATION_SLOT\" for slot %q: %w", name, err)
	}
	return nil
}

// Slot is the answer to READ_REPLICATION_SLOT.
type Slot struct {
	Exists          bool
	Type            string // "physical", the only one that the command can read
	RestartLSN      LSN    // the oldest WAL that is held; 0 when the slot holds none yet
	RestartTimeline uint32 // 0 when RestartLSN is
}

// ReadSlot reads a physical slot; servers of version 15 or later.
func (c *Conn) ReadSlot(ctx context.Context, name string) (Slot, error) {
	if c.ServerVersion() < 150000 {
		return Slot{}, fmt.Errorf("the server is of version %s; reading a slot by the replication protocol needs 15 or later", c.ServerVersionString())
	}
	row, err := c.oneRow(ctx, "READ_REPLICATION_SLOT "+quoteIdent(name), 3)
	if err != nil {
		return Slot{}, fmt.Errorf("could not read replication slot %q: %w", name, err)
	}
	slot := Slot{Exists: row[0] != nil, Type: row.text(0)}
	if row[1] != nil {
		if slot.RestartLSN, err = ParseLSN(row.text(1)); err != nil {
			return Slot{}, err
		}
	}
	if row[2] != nil {
		tli, err := strconv.ParseUint(row.text(2), 10, 32)
		if err != nil {
			return Slot{}, protocolErrorf("timeline %q", row.text(2))
		}
		slot.RestartTimeline = uint32(tli)
	}
	return slot, nil
}

// TimelineHistory fetches the history file of a timeline. Timeline 1 has none: the server answers with an error.
func (c *Conn) TimelineHistory(ctx context.Context, tli uint32) (name string, content []byte, err error) {
	row, err := c.oneRow(ctx, "TIMELINE_HISTORY "+strconv.FormatUint(uint64(tli), 10), 2)
	if err != nil {
		return "", nil, fmt.Errorf("could not fetch the history of timeline %d: %w", tli, err)
	}
	if got, want := row.text(0), HistoryName(tli); got != want {
		return "", nil, protocolErrorf("history file name %q for timeline %d, expected %q", got, tli, want)
	}
	return row.text(0), row[1], nil
}

// UploadManifest sends the manifest of the backup that the next BASE_BACKUP (INCREMENTAL) builds on; servers of version 17 or later.
func (c *Conn) UploadManifest(ctx context.Context, r io.Reader) error {
	if err := c.ready(); err != nil {
		return err
	}
	if c.ServerVersion() < 170000 {
		return fmt.Errorf("the server is of version %s; incremental backups need 17 or later", c.ServerVersionString())
	}
	done := c.watch(ctx)
	if err := done(c.uploadManifest(r)); err != nil {
		return fmt.Errorf("could not upload manifest: %w", err)
	}
	return nil
}

func (c *Conn) uploadManifest(r io.Reader) error {
	if err := c.sendQuery("UPLOAD_MANIFEST"); err != nil {
		return c.fail(err)
	}
	typ, _, err := c.next()
	if err != nil {
		return c.fail(err)
	}
	switch typ {
	case 'G':
	case 'E':
		err := c.serverError()
		c.sync()
		return err
	default:
		return c.fail(protocolErrorf("message of type %q after UPLOAD_MANIFEST", typ))
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := c.sendMessage('d', buf[:n]); err != nil {
				return c.fail(err)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			if sendErr := c.sendMessage('f', []byte("could not read manifest\x00")); sendErr != nil {
				return c.fail(sendErr)
			}
			c.sync()
			return fmt.Errorf("could not read manifest: %w", err)
		}
	}
	if err := c.sendMessage('c'); err != nil {
		return c.fail(err)
	}
	return c.sync()
}
