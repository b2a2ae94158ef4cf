package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// script builds what a server sends.
type script struct{ b []byte }

func (s *script) msg(typ byte, body ...any) *script {
	var b []byte
	for _, part := range body {
		switch v := part.(type) {
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		case byte:
			b = append(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		default:
			panic("script: unknown part")
		}
	}
	s.b = append(s.b, typ)
	s.b = binary.BigEndian.AppendUint32(s.b, uint32(len(b)+4))
	s.b = append(s.b, b...)
	return s
}

func (s *script) columns(names ...string) *script {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(names)))
	for _, n := range names {
		b = append(append(b, n...), 0)
		b = append(b, make([]byte, 18)...)
	}
	return s.msg('T', b)
}

// row sends fields; nil is NULL.
func (s *script) row(fields ...any) *script {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(fields)))
	for _, f := range fields {
		if f == nil {
			b = binary.BigEndian.AppendUint32(b, 0xFFFFFFFF)
			continue
		}
		v := f.(string)
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return s.msg('D', b)
}

func (s *script) complete(tag string) *script { return s.msg('C', tag+"\x00") }
func (s *script) copyOut() *script            { return s.msg('H', []byte{0, 0, 0}) }
func (s *script) data(body ...any) *script    { return s.msg('d', body...) }
func (s *script) copyDone() *script           { return s.msg('c') }
func (s *script) ready() *script              { return s.msg('Z', "I") }
func (s *script) fail(severity, code, message string) *script {
	return s.msg('E', "S"+severity+"\x00C"+code+"\x00M"+message+"\x00\x00")
}
func (s *script) notice(message string) *script {
	return s.msg('N', "SWARNING\x00C01000\x00M"+message+"\x00\x00")
}

// start sends the start position and the header of a base backup.
func (s *script) start(columns []string, rows ...[]any) *script {
	s.columns("recptr", "tli").row("0/C000028", "1").complete("SELECT").columns(columns...)
	for _, r := range rows {
		s.row(r...)
	}
	return s.complete("SELECT")
}

// end sends the end position.
func (s *script) end() *script {
	return s.columns("recptr", "tli").row("0/C000138", "1").complete("SELECT").complete("BASE_BACKUP")
}

var (
	plainHeader = []string{"spcoid", "spclocation", "size"}
	polarHeader = []string{"spcoid", "spclocation", "size", "shared_storage"}
)

// scriptNet is a connection that answers with prepared bytes, in pieces of at most step bytes, and then with the end.
type scriptNet struct {
	r      *bytes.Reader
	step   int
	sent   bytes.Buffer
	closed bool
}

func (c *scriptNet) Read(p []byte) (int, error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.step > 0 && len(p) > c.step {
		p = p[:c.step]
	}
	n, err := c.r.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}
func (c *scriptNet) Write(p []byte) (int, error)      { return c.sent.Write(p) }
func (c *scriptNet) Close() error                     { c.closed = true; return nil }
func (c *scriptNet) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *scriptNet) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *scriptNet) SetDeadline(time.Time) error      { return nil }
func (c *scriptNet) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptNet) SetWriteDeadline(time.Time) error { return nil }

// scriptConn is a connection to a server of the given version that answers with bytes.
func scriptConn(version string, answer []byte, step int) (*Conn, *scriptNet) {
	n := &scriptNet{r: bytes.NewReader(answer), step: step}
	return &Conn{
		net: n, cfg: &Config{set: settings{}},
		wire:   &wire{r: n, buf: make([]byte, wireBufferSize), sawAuth: true},
		params: map[string]string{"server_version": version},
	}, n
}
