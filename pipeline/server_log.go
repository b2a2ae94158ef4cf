package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// serverLog passes what the embedded server says on. Its notices are details to us.
//
// It also listens: a store that cannot be written (a full disk) is only told of here. The server gives a publisher no answer at all then
// (nats-server, server/stream.go, processJetStreamMsg), which looks like a server that is slow.
type serverLog struct {
	l      *slog.Logger
	failed atomic.Pointer[error]
}

func (s *serverLog) Noticef(f string, v ...any) { s.l.Debug(fmt.Sprintf(f, v...)) }
func (s *serverLog) Warnf(f string, v ...any)   { s.l.Debug("JetStream: " + fmt.Sprintf(f, v...)) }
func (s *serverLog) Fatalf(f string, v ...any)  { s.l.Error("JetStream: " + fmt.Sprintf(f, v...)) }
func (s *serverLog) Debugf(string, ...any)      {}
func (s *serverLog) Tracef(string, ...any)      {}

func (s *serverLog) Errorf(f string, v ...any) {
	text := fmt.Sprintf(f, v...)
	low := strings.ToLower(text)
	if strings.Contains(low, "critical write error") || strings.Contains(low, "failed to store a msg") {
		err := errors.New(text)
		s.failed.CompareAndSwap(nil, &err)
		s.l.Debug("JetStream: " + text) // each stream says it several times; whoever publishes gets the error
		return
	}
	s.l.Warn("JetStream: " + text)
}

// storeError returns why the store cannot be written, nil when it can, or when the server is not ours.
func (s *Server) storeError() error {
	if s == nil {
		return nil
	}
	if p := s.log.failed.Load(); p != nil {
		return *p
	}
	return nil
}
