package polardouble

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Codes in the place of a protocol version (PostgreSQL's src/include/libpq/pqcomm.h).
const (
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104
)

// maxMessage bounds what is believed of a length field.
const maxMessage = 64 << 20

// message is one protocol message with its header.
type message []byte

func (m message) kind() byte   { return m[0] }
func (m message) body() []byte { return m[5:] }

// readMessage reads one message after the start-up phase.
func readMessage(r io.Reader) (message, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > maxMessage {
		return nil, fmt.Errorf("message %q with a length of %d", head[0], n)
	}
	m := make(message, 1+n)
	copy(m, head[:])
	_, err := io.ReadFull(r, m[5:])
	return m, err
}

// readStartup reads a message that has no type: start-up, cancel, TLS.
func readStartup(r io.Reader) (packet []byte, code uint32, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 8 || n > 10000 {
		return nil, 0, fmt.Errorf("start-up packet with a length of %d", n)
	}
	packet = make([]byte, n)
	copy(packet, head[:])
	_, err = io.ReadFull(r, packet[8:])
	return packet, binary.BigEndian.Uint32(head[4:]), err
}

// peer writes to the client; several goroutines may.
type peer struct {
	mu   sync.Mutex
	conn net.Conn
}

func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn.Write(b)
}

// send encodes and writes messages in one piece.
func (p *peer) send(msgs ...pgproto3.BackendMessage) error {
	var buf []byte
	for _, m := range msgs {
		var err error
		if buf, err = m.Encode(buf); err != nil {
			return err
		}
	}
	_, err := p.Write(buf)
	return err
}

// reset ends the connection with RST, as a machine that vanished and came back does.
func (p *peer) reset() {
	if tcp, ok := p.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	p.conn.Close()
}

// column describes a column of a result as walsender does.
func column(name string, oid uint32, size int16) pgproto3.FieldDescription {
	return pgproto3.FieldDescription{Name: []byte(name), DataTypeOID: oid, DataTypeSize: size, TypeModifier: -1}
}
