package polardouble

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgproto3"
)

// answered is an error that the real server gave; the client gets the same message.
type answered struct{ message }

func (answered) Error() string { return "the real server refused" }

// archive is one archive as the real server sent it, in a file.
type archive struct {
	oid, location string // of a tablespace; empty for the data directory
	file          *os.File
}

// backupRun is one BASE_BACKUP on the real server.
type backupRun struct {
	s    *session
	in   *bufio.Reader
	conn net.Conn
	dir  string

	rows     [][][]byte // the tablespace header: oid, location, size
	archives []archive
	manifest *os.File
	tail     []message // the end position and what follows
}

// start connects as the client did, and sends the command.
func (s *session) start(dir, sql string) (*backupRun, error) {
	conn, err := s.d.dial()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.second = conn
	s.mu.Unlock()
	r := &backupRun{s: s, conn: conn, in: bufio.NewReaderSize(conn, 256<<10), dir: dir}
	if _, err := conn.Write(s.startup); err != nil {
		return r, err
	}
	for {
		m, err := readMessage(r.in)
		if err != nil {
			return r, err
		}
		switch m.kind() {
		case 'E':
			return r, answered{m}
		case 'R':
			if binary.BigEndian.Uint32(m.body()) != 0 {
				return r, errors.New("the real server asks for a password: the double needs trust for backups")
			}
		case 'Z':
			query, err := (&pgproto3.Query{String: sql}).Encode(nil)
			if err == nil {
				_, err = conn.Write(query)
			}
			return r, err
		}
	}
}

func (r *backupRun) close() {
	r.s.d.forget(r.conn)
	for _, a := range r.archives {
		a.file.Close()
	}
	if r.manifest != nil {
		r.manifest.Close()
	}
}

// next is the next message that is not a notice; those go to the client.
func (r *backupRun) next() (message, error) {
	for {
		m, err := readMessage(r.in)
		if err != nil {
			return nil, err
		}
		switch m.kind() {
		case 'E':
			return nil, answered{m}
		case 'N', 'S':
			if m.kind() == 'N' {
				r.s.client.Write(m)
			}
		default:
			return m, nil
		}
	}
}

// result reads one result set.
func (r *backupRun) result() (all []message, rows [][][]byte, err error) {
	for {
		m, err := r.next()
		if err != nil {
			return nil, nil, err
		}
		all = append(all, m)
		switch m.kind() {
		case 'D':
			var row pgproto3.DataRow
			if err := row.Decode(m.body()); err != nil {
				return nil, nil, err
			}
			rows = append(rows, row.Values)
		case 'C':
			return all, rows, nil
		}
	}
}

// receive stores all archives and the manifest in files, and keeps what comes after.
func (r *backupRun) receive() error {
	row := 0
	var to *os.File
	for {
		m, err := r.next()
		if err != nil {
			return err
		}
		switch m.kind() {
		case 'H':
			// One COPY for each row up to 14; from 15 on one for all, whose messages carry a type.
			if r.s.d.Major < 15 {
				if to, err = r.open(row); err != nil {
					return err
				}
				row++
			}
		case 'd':
			data := m.body()
			if r.s.d.Major >= 15 {
				if len(data) == 0 {
					return errors.New("an empty CopyData in a backup")
				}
				kind := data[0]
				data = data[1:]
				switch kind {
				case 'n':
					to, err = r.open(row)
					row++
					data = nil
				case 'm':
					to, err = os.Create(filepath.Join(r.dir, "manifest"))
					r.manifest, data = to, nil
				case 'p':
					data = nil
				}
				if err != nil {
					return err
				}
			}
			if _, err := to.Write(data); err != nil {
				return err
			}
		case 'c':
		case 'Z':
			return nil
		default:
			r.tail = append(r.tail, m)
		}
	}
}

// open makes the file of the archive of a row of the header.
func (r *backupRun) open(row int) (*os.File, error) {
	if row >= len(r.rows) {
		return nil, fmt.Errorf("the real server sent more than %d archives", len(r.rows))
	}
	f, err := os.Create(filepath.Join(r.dir, fmt.Sprintf("raw%d", row)))
	if err != nil {
		return nil, err
	}
	r.archives = append(r.archives, archive{oid: string(r.rows[row][0]), location: string(r.rows[row][1]), file: f})
	return f, nil
}
