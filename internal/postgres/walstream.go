package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// WALStream is a START_REPLICATION under way. Receive and SendStatus may be called from two goroutines; Stop when neither is running.
type WALStream struct {
	c    *Conn
	stop func(error) error
	err  error // what every further Receive returns

	pos     LSN // position of the next byte of the message that is handed out in pieces
	end     LSN // the server's end of WAL in that message
	inData  bool
	notCopy bool // the server answered with the end of the timeline at once
}

// WALMessage is a piece of WAL, or a keepalive.
type WALMessage struct {
	Start LSN    // position of Data[0]
	End   LSN    // the server's end of WAL when it sent this
	Data  []byte // valid until the next Receive; pieces follow each other without a gap, and do not respect segment boundaries

	Keepalive      bool // no data
	ReplyRequested bool // the server wants SendStatus at once; it will cut the connection after wal_sender_timeout otherwise
}

// EndOfTimeline is returned by Receive when the timeline ended: the server was promoted, or the timeline was a historic one. The connection is ready for the
// next command, as for NextTLI from SwitchPoint.
type EndOfTimeline struct {
	NextTLI     uint32
	SwitchPoint LSN // where the next timeline forks off
}

func (e *EndOfTimeline) Error() string {
	return fmt.Sprintf("timeline ended at %s, the next one is %d", e.SwitchPoint, e.NextTLI)
}

// ErrServerStopped is returned by Receive when the server ended the stream in an orderly way, because it shuts down.
var ErrServerStopped = errors.New("replication was ended by the server: it is shutting down")

// StartReplication streams WAL from start on timeline tli; slot may be "". start should be the first byte of a segment, as with pg_receivewal. ctx holds for
// the whole stream: its end cuts the connection.
func (c *Conn) StartReplication(ctx context.Context, slot string, start LSN, tli uint32) (*WALStream, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	cmd := "START_REPLICATION "
	if slot != "" {
		cmd += "SLOT " + quoteIdent(slot) + " "
	}
	cmd += fmt.Sprintf("%s TIMELINE %d", start, tli)
	s := &WALStream{c: c, stop: c.watch(ctx)}
	if err := s.start(cmd); err != nil {
		return nil, s.stop(fmt.Errorf("could not send replication command \"START_REPLICATION\": %w", err))
	}
	c.busy = "START_REPLICATION"
	return s, nil
}

func (s *WALStream) start(cmd string) error {
	if err := s.c.sendQuery(cmd); err != nil {
		return s.c.fail(err)
	}
	typ, _, err := s.c.next()
	if err != nil {
		return s.c.fail(err)
	}
	switch typ {
	case 'W':
		return nil
	case 'T': // nothing to stream on this timeline: walsender.c StartReplication skips the copy
		s.notCopy = true
		return nil
	case 'E':
		err := s.c.serverError()
		s.c.sync()
		return err
	}
	return s.c.fail(protocolErrorf("message of type %q after START_REPLICATION", typ))
}

// Receive waits for the next message until deadline; the zero time waits for ever. After the deadline it returns an error that is
// os.ErrDeadlineExceeded, and can be called again. The end of the timeline is *EndOfTimeline.
func (s *WALStream) Receive(deadline time.Time) (WALMessage, error) {
	if s.err != nil {
		return WALMessage{}, s.err
	}
	if err := s.c.net.SetReadDeadline(deadline); err != nil {
		return WALMessage{}, s.fail(err)
	}
	if s.notCopy {
		return WALMessage{}, s.endOfTimeline('T')
	}
	for {
		m, ready, err := s.receive()
		if err != nil {
			return WALMessage{}, s.fail(err)
		}
		if ready {
			return m, nil
		}
	}
}

// fail keeps err for further calls, unless it is only the deadline.
func (s *WALStream) fail(err error) error {
	if s.err != nil {
		return s.err
	}
	if isTimeout(err) {
		return err
	}
	s.err = s.stop(s.c.fail(err))
	return s.err
}

func (s *WALStream) receive() (m WALMessage, ready bool, err error) {
	w := s.c.wire
	if s.inData {
		p, err := w.piece()
		if err != nil {
			return m, false, err
		}
		if len(p) > 0 {
			m = WALMessage{Start: s.pos, End: s.end, Data: p}
			s.pos += LSN(len(p))
			return m, true, nil
		}
		s.inData = false
	}
	typ, n, err := s.c.next()
	if err != nil {
		return m, false, err
	}
	switch typ {
	case 'd':
		return s.copyData(n)
	case 'c':
		return m, false, s.endOfTimeline(0)
	case 'C':
		return m, false, ErrServerStopped
	case 'E':
		return m, false, s.c.serverError()
	}
	return m, false, protocolErrorf("message of type %q in the replication stream", typ)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// copyData begins a CopyData of n bytes; next has seen to it that its header is in the buffer.
func (s *WALStream) copyData(n int) (m WALMessage, ready bool, err error) {
	w := s.c.wire
	if n < 1 {
		return m, false, protocolErrorf("empty message in the replication stream")
	}
	kind, err := w.take(1)
	if err != nil {
		return m, false, err
	}
	switch kind[0] {
	case 'w':
		p, err := w.take(copyHeader - 1)
		if err != nil {
			return m, false, err
		}
		s.pos = LSN(binary.BigEndian.Uint64(p))
		s.end = LSN(binary.BigEndian.Uint64(p[8:]))
		s.inData = true
		return m, false, nil
	case 'k':
		p, err := w.take(8 + 8 + 1)
		if err != nil {
			return m, false, err
		}
		return WALMessage{End: LSN(binary.BigEndian.Uint64(p)), Keepalive: true, ReplyRequested: p[16] != 0}, true, nil
	}
	return m, false, protocolErrorf("message of type %q inside the replication stream", kind[0])
}
