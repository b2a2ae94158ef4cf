package polardouble

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// taken is a backup as a client of the protocol sees it.
type taken struct {
	start    string
	rows     [][]string // NULL is "-"
	names    []string   // of archives, on 15
	archives [][]byte
	manifest []byte
	end      string
	notices  []string
	err      *pgconn.PgError
}

// replication connects for replication.
func replication(t *testing.T, d *Double) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(context.Background(), d.ConnString()+" replication=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// take runs BASE_BACKUP. It returns the error of the connection, if that breaks.
func take(t *testing.T, d *Double, command string) (*taken, error) {
	t.Helper()
	h, err := replication(t, d).Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Conn.Close()
	h.Frontend.Send(&pgproto3.Query{String: command})
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	b := &taken{}
	results := 0
	for {
		msg, err := h.Frontend.Receive()
		if err != nil {
			return b, err
		}
		switch m := msg.(type) {
		case *pgproto3.RowDescription:
			results++
		case *pgproto3.DataRow:
			b.row(results, m.Values)
		case *pgproto3.CopyOutResponse:
			if d.Major < 15 {
				b.archives = append(b.archives, nil)
			}
		case *pgproto3.CopyData:
			b.data(d.Major, m.Data)
		case *pgproto3.NoticeResponse:
			b.notices = append(b.notices, m.Message)
		case *pgproto3.ErrorResponse:
			b.err = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return b, nil
		}
	}
}

func (b *taken) row(result int, values [][]byte) {
	var row []string
	for _, v := range values {
		if v == nil {
			row = append(row, "-")
		} else {
			row = append(row, string(v))
		}
	}
	switch result {
	case 1:
		b.start = row[0]
	case 2:
		b.rows = append(b.rows, row)
	case 3:
		b.end = row[0]
	}
}

func (b *taken) data(major int, data []byte) {
	if major < 15 {
		last := len(b.archives) - 1
		b.archives[last] = append(b.archives[last], data...)
		return
	}
	switch data[0] {
	case 'n':
		name, _, _ := bytes.Cut(data[1:], []byte{0})
		b.names = append(b.names, string(name))
		b.archives = append(b.archives, nil)
	case 'm':
		b.names = append(b.names, "manifest")
		b.archives = append(b.archives, nil)
	case 'd':
		last := len(b.archives) - 1
		b.archives[last] = append(b.archives[last], data[1:]...)
		if b.names[last] == "manifest" {
			b.manifest = b.archives[last]
		}
	}
}

// members lists an archive.
func members(t *testing.T, archive []byte) []string {
	t.Helper()
	var names []string
	err := readTar(bytes.NewReader(archive), func(h *header, _ io.Reader) error {
		names = append(names, h.name())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// unpack writes an archive's files below dir.
func unpack(t *testing.T, archive []byte, dir string) string {
	t.Helper()
	err := readTar(bytes.NewReader(archive), func(h *header, body io.Reader) error {
		path := filepath.Join(dir, h.name())
		switch h.kind() {
		case '5':
			return os.MkdirAll(path, 0o700)
		case '2':
			return os.Symlink(h.text(157, 100), path)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		data, err := io.ReadAll(body)
		if err == nil && int64(len(data)) != h.size() {
			err = fmt.Errorf("%s has %d of %d bytes", h.name(), len(data), h.size())
		}
		if err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
