package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// endTimeout bounds the exchange at the end of a timeline, which the server answers from memory.
const endTimeout = 60 * time.Second

// postgresEpoch is 2000-01-01, in microseconds of Unix time.
const postgresEpoch = 946684800 * 1e6

// SendStatus tells the server up to where WAL was written, made durable, and applied; a slot then holds WAL from flush only. reply asks the server for a
// keepalive. It may be called while another goroutine is in Receive.
func (s *WALStream) SendStatus(write, flush, apply LSN, reply bool) error {
	b := make([]byte, 0, 34)
	b = append(b, 'r')
	for _, v := range []uint64{uint64(write), uint64(flush), uint64(apply), uint64(time.Now().UnixMicro() - postgresEpoch)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	if reply {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return s.c.sendMessage('d', b)
}

// endOfTimeline ends the copy from our side too and reads where the next timeline forks off. typ is the message that was begun, 0 for CopyDone.
func (s *WALStream) endOfTimeline(typ byte) error {
	c := s.c
	if err := c.net.SetReadDeadline(time.Now().Add(endTimeout)); err != nil {
		return err
	}
	if typ == 0 {
		if err := c.sendMessage('c'); err != nil {
			return err
		}
	}
	next, err := s.readEnd(typ)
	if isTimeout(err) {
		return fmt.Errorf("server did not finish the replication stream within %s", endTimeout)
	}
	if err != nil {
		return err
	}
	c.busy = ""
	c.net.SetReadDeadline(time.Time{})
	s.stop(nil)
	s.err = errStreamStopped
	if next != nil {
		s.err = next
	}
	return s.err
}

// errStreamStopped is the end of a stream that Stop ended before its timeline did.
var errStreamStopped = errors.New("replication stream is stopped")

// readEnd reads what follows the copy, up to ReadyForQuery: a row that names the next timeline, if this one has ended.
func (s *WALStream) readEnd(typ byte) (next *EndOfTimeline, err error) {
	c := s.c
	for first := typ != 0; ; first = false {
		if !first {
			if typ, _, err = c.next(); err != nil {
				return nil, err
			}
		}
		switch typ {
		case 'D':
			row, err := c.dataRow()
			if err != nil {
				return nil, err
			}
			if next, err = nextTimeline(row); err != nil {
				return nil, err
			}
		case 'E':
			err := c.serverError()
			c.sync()
			return nil, err
		case 'Z':
			return next, nil
		case 'd', 'c', 'T', 'C': // WAL that was under way when Stop was called, and the rest of the result
		default:
			return nil, protocolErrorf("message of type %q at the end of the replication stream", typ)
		}
	}
}

func nextTimeline(row Row) (*EndOfTimeline, error) {
	if len(row) < 2 {
		return nil, protocolErrorf("next timeline: %d fields, 2 expected", len(row))
	}
	tli, err := strconv.ParseUint(row.text(0), 10, 32)
	if err != nil || tli == 0 {
		return nil, protocolErrorf("next timeline %q", row.text(0))
	}
	lsn, err := ParseLSN(row.text(1))
	if err != nil {
		return nil, err
	}
	return &EndOfTimeline{NextTLI: uint32(tli), SwitchPoint: lsn}, nil
}

// Stop ends the stream; the connection can then be used for other commands. What the server had under way is dropped. It does nothing after the end of the
// stream.
func (s *WALStream) Stop(ctx context.Context) error {
	var end *EndOfTimeline
	switch {
	case errors.As(s.err, &end), s.err == errStreamStopped:
		return nil
	case s.err != nil:
		return s.err
	}
	done := s.c.watch(ctx)
	err := s.endOfTimeline(map[bool]byte{true: 'T'}[s.notCopy])
	switch {
	case errors.As(err, &end), err == errStreamStopped:
		s.err = errStreamStopped
		return done(nil)
	}
	return done(s.fail(err))
}
