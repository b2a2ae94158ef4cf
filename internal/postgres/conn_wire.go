package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// wireBufferSize is the read buffer of a connection, in bytes: several CopyData messages of a base backup (32 KiB each) per system call,
	// and still within a second-level cache.
	wireBufferSize = 128 << 10
	// maxMessage is the longest message that is believed, in bytes: the server's own limit (PQ_LARGE_MESSAGE_LIMIT is 1 GiB - 1).
	maxMessage = 1<<30 - 1
	// maxSmallBody bounds messages that must be held in memory as a whole, in bytes: errors, notices, rows.
	maxSmallBody = 64 << 20
	// maxStartupMessage bounds messages before the end of authentication, when the server has not proven anything.
	maxStartupMessage = 1 << 20
)

// errPasswordNeeded is returned from the middle of the start-up when the server asks for a password and none is known
// (libpq's PQnoPasswordSupplied, the same text).
var errPasswordNeeded = errors.New("fe_sendauth: no password supplied")

// wire frames the messages of the server over one buffer. It is used in two ways: relayed to pgproto3 during the start-up (Read), where it never
// hands out a byte beyond the current message, so that nothing is left in pgproto3's own buffer; and afterwards by next, piece and body.
type wire struct {
	r        io.Reader
	buf      []byte
	pos, end int // unread bytes are buf[pos:end]

	left int // bytes of the current message's body that were not handed out yet

	relay        int  // bytes of the current message that Read has yet to hand out
	sawAuth      bool // the first authentication request was seen
	havePassword bool // a password is known
}

// protocolError is a message that no server would send; the connection cannot be used after it.
type protocolError struct{ msg string }

func (e *protocolError) Error() string { return e.msg }

func protocolErrorf(format string, a ...any) error {
	return &protocolError{"unexpected answer from the server: " + fmt.Sprintf(format, a...)}
}

// buffered is the number of bytes received but not consumed.
func (w *wire) buffered() int { return w.end - w.pos }

// fill reads at least one more byte, making room first. need is the number of unread bytes that the caller wants to see together;
// the buffer doubles until it fits them, and only after the present one was filled by the server.
func (w *wire) fill(need int) error {
	if w.pos == w.end {
		w.pos, w.end = 0, 0
		if len(w.buf) != wireBufferSize && need <= wireBufferSize {
			w.buf = make([]byte, wireBufferSize)
		}
	}
	if w.pos > 0 && (w.end == len(w.buf) || w.pos+need > len(w.buf)) {
		w.end = copy(w.buf, w.buf[w.pos:w.end])
		w.pos = 0
	}
	if w.end == len(w.buf) {
		bigger := make([]byte, 2*len(w.buf))
		copy(bigger, w.buf[:w.end])
		w.buf = bigger
	}
	for range 100 {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// ensure reads until n unread bytes are in the buffer.
func (w *wire) ensure(n int) error {
	for w.buffered() < n {
		if err := w.fill(n); err != nil {
			return err
		}
	}
	return nil
}

// header looks at the next message without consuming it; n is the length of its body in bytes.
func (w *wire) header() (typ byte, n int, err error) {
	if err := w.ensure(5); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(w.buf[w.pos+1:])
	typ = w.buf[w.pos]
	if length < 4 || length-4 > maxMessage {
		return 0, 0, protocolErrorf("message of type %q with length %d", typ, length)
	}
	return typ, int(length) - 4, nil
}

// next begins a message; what was not read of the one before is skipped.
func (w *wire) next() (typ byte, n int, err error) {
	if err := w.skip(); err != nil {
		return 0, 0, err
	}
	typ, n, err = w.header()
	if err != nil {
		return 0, 0, err
	}
	w.pos += 5
	w.left = n
	return typ, n, nil
}

// skip passes over the rest of the current message.
func (w *wire) skip() error {
	for w.left > 0 {
		if _, err := w.piece(); err != nil {
			return err
		}
	}
	return nil
}

// piece hands out what is there of the current message, at least one byte, or nothing when the message is at its end. The slice is valid
// until the next call on w.
func (w *wire) piece() ([]byte, error) {
	if w.left == 0 {
		return nil, nil
	}
	if w.pos == w.end {
		if err := w.fill(1); err != nil {
			return nil, err
		}
	}
	n := min(w.left, w.buffered())
	p := w.buf[w.pos : w.pos+n : w.pos+n]
	w.pos += n
	w.left -= n
	return p, nil
}

// take consumes exactly n bytes of the current message; n must be small. It fails when the message has fewer. A failed read consumes nothing.
func (w *wire) take(n int) ([]byte, error) {
	if w.left < n {
		return nil, protocolErrorf("message is too short: %d bytes left, %d expected", w.left, n)
	}
	if err := w.ensure(n); err != nil {
		return nil, err
	}
	p := w.buf[w.pos : w.pos+n : w.pos+n]
	w.pos += n
	w.left -= n
	return p, nil
}

// body consumes the rest of the current message as one slice, valid until the next call on w.
func (w *wire) body() ([]byte, error) {
	if w.left > maxSmallBody {
		return nil, protocolErrorf("message of %d bytes where at most %d are expected", w.left, maxSmallBody)
	}
	return w.take(w.left)
}

// Read relays whole messages to pgproto3 during the start-up, one at a time.
func (w *wire) Read(p []byte) (int, error) {
	if w.relay == 0 {
		typ, n, err := w.header()
		if err != nil {
			return 0, err
		}
		if n > maxStartupMessage {
			return 0, protocolErrorf("message of type %q with %d bytes before the end of the authentication", typ, n)
		}
		if typ == 'R' && !w.sawAuth {
			if err := w.checkAuth(n); err != nil {
				return 0, err
			}
		}
		w.relay = 5 + n
	}
	if w.pos == w.end {
		if err := w.fill(1); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.buf[w.pos:min(w.end, w.pos+w.relay)])
	w.pos += n
	w.relay -= n
	return n, nil
}

// checkAuth stops the start-up before an empty password is sent: the server would log a failed login, and libpq does not do it either.
func (w *wire) checkAuth(n int) error {
	if n < 4 {
		return protocolErrorf("authentication request of %d bytes", n)
	}
	if err := w.ensure(9); err != nil {
		return err
	}
	w.sawAuth = true
	switch binary.BigEndian.Uint32(w.buf[w.pos+5:]) {
	case 3, 5, 10: // cleartext, MD5, SASL
		if !w.havePassword {
			return errPasswordNeeded
		}
	}
	return nil
}
