package stages

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"

	"polarcast/messages"
	"polarcast/pipeline"

	"context"
)

// Env is what every stage needs to take part in one backup.
type Env struct {
	// Client is the connection to JetStream.
	Client *pipeline.Client
	// Backup is the id of the backup.
	Backup string
	// Instance names this process in events and progress reports; see NewInstance.
	Instance string
	// Logger receives what a person who operates the stage wants to read. Never nil; see WithDefaults.
	Logger *slog.Logger
}

// NewInstance returns a name for one running process: host, process id and four random bytes, so that a restarted process with a
// recycled id is never mistaken for its predecessor.
func NewInstance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails on the supported platforms
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), hex.EncodeToString(b[:]))
}

// WithDefaults fills the fields that may be left out.
func (e Env) WithDefaults() Env {
	if e.Instance == "" {
		e.Instance = NewInstance()
	}
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	return e
}

// Log returns the event log of the backup.
func (e Env) Log() *pipeline.Log { return e.Client.Log(e.Backup) }

// Append adds one event to the log in the name of stage.
func (e Env) Append(ctx context.Context, stage string, t messages.EventType, data any) error {
	return e.Log().Append(ctx, stage, e.Instance, messages.NewEvent(t, data))
}

// AppendIf adds one event if check accepts the state that it would follow.
func (e Env) AppendIf(ctx context.Context, stage string, t messages.EventType, data any, check func(pipeline.State) error) error {
	return e.Log().AppendIf(ctx, stage, e.Instance, messages.NewEvent(t, data), check)
}
