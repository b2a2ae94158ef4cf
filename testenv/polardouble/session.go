package polardouble

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// session is one replication connection of a client and its twin on the real server.
type session struct {
	d       *Double
	startup []byte
	client  *peer
	server  net.Conn

	mu     sync.Mutex
	second net.Conn // the connection that a backup runs on
	wg     sync.WaitGroup
}

// serve handles a client's connection.
func (d *Double) serve(c net.Conn) {
	in := bufio.NewReader(c)
	packet, code, err := readStartup(in)
	for err == nil && (code == codeSSL || code == codeGSS) {
		if _, err = c.Write([]byte{'N'}); err == nil {
			packet, code, err = readStartup(in)
		}
	}
	if err != nil {
		return
	}
	server, err := d.dial()
	if err != nil {
		return
	}
	defer d.forget(server)
	if _, err := server.Write(packet); err != nil || code == codeCancel {
		return
	}
	if !bytes.Contains(packet, []byte("\x00replication\x00")) {
		d.wg.Go(func() {
			io.Copy(server, in)
			server.Close()
		})
		io.Copy(c, server)
		return
	}
	s := &session{d: d, startup: packet, client: &peer{conn: c}, server: server}
	s.wg.Go(s.pump)
	s.listen(in)
	server.Close()
	s.closeSecond()
	s.wg.Wait()
}

// pump passes on what the real server sends. When that ends, the client's connection ends too: a backup that is still sent from the spool
// dies with the server.
func (s *session) pump() {
	defer s.client.conn.Close()
	in := bufio.NewReaderSize(s.server, 64<<10)
	for {
		m, err := readMessage(in)
		if err != nil {
			return
		}
		if m.kind() == 'S' && bytes.HasPrefix(m.body(), []byte("server_version\x00")) {
			if s.client.send(&pgproto3.ParameterStatus{Name: "server_version", Value: s.d.serverVersion()}) != nil {
				return
			}
			continue
		}
		if _, err := s.client.Write(m); err != nil {
			return
		}
	}
}

// listen reads the client's messages: some queries are answered here, the others go to the real server.
func (s *session) listen(in io.Reader) {
	for {
		m, err := readMessage(in)
		if err != nil {
			return
		}
		if m.kind() == 'Q' {
			sql := string(bytes.TrimRight(m.body(), "\x00"))
			s.d.note(sql)
			if answer, ok := s.d.answer(sql); ok {
				if s.client.send(answer...) != nil {
					return
				}
				continue
			}
			if cmd, ok := parseBackup(sql, s.d.Major); ok {
				// This goroutine goes on reading: a client that goes away ends the backup.
				s.wg.Go(func() { s.backup(cmd) })
				continue
			}
		}
		if _, err := s.server.Write(m); err != nil {
			return
		}
	}
}

func (s *session) closeSecond() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.second != nil {
		s.second.Close()
	}
}

func (d *Double) note(sql string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commands = append(d.commands, sql)
}

func (d *Double) serverVersion() string {
	if d.Major == 11 {
		return "11.9"
	}
	return "15.8"
}

// settings are what SHOW gives, as seen on real servers.
func (d *Double) settings() map[string]string {
	version, shared, cluster := "15.8.2.0", "on", ""
	if d.Major == 11 {
		version = "1.1.20"
	}
	if d.opts.NotShared {
		shared = "off"
	}
	if d.opts.PFS {
		cluster = "disk"
	}
	return map[string]string{
		"polar_enable_shared_storage_mode": shared,
		"polar_datadir":                    d.DataDir,
		"polar_hostid":                     "1",
		"polar_version":                    version,
		"polar_disk_name":                  d.opts.Disk,
		"polar_storage_cluster_name":       cluster,
		"server_version":                   d.serverVersion(),
	}
}

// answer gives the result of SHOW for a setting that the real server does not have.
func (d *Double) answer(sql string) ([]pgproto3.BackendMessage, bool) {
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(sql), ";"))
	if len(words) != 2 || !strings.EqualFold(words[0], "SHOW") {
		return nil, false
	}
	name := strings.ToLower(strings.Trim(words[1], `"`))
	value, ok := d.settings()[name]
	if !ok {
		return nil, false
	}
	tag := "SHOW"
	if d.Major == 11 {
		tag = "SELECT"
	}
	return []pgproto3.BackendMessage{
		&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{column(name, 25, -1)}},
		&pgproto3.DataRow{Values: [][]byte{[]byte(value)}},
		&pgproto3.CommandComplete{CommandTag: []byte(tag)},
		&pgproto3.ReadyForQuery{TxStatus: 'I'},
	}, true
}
