package stages

import (
	"context"
	"log/slog"

	"polarcast/messages"
	"polarcast/pipeline"
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
	// Lost is what was published by a process that died with the bytes in its memory, and no target holds: it is published again. Nil when there is none.
	Lost *messages.ChunksMissing
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

// Missing returns what is known to be lost: found by the auditors of the targets, or with the process before this one.
func (e Env) Missing(st pipeline.State) []messages.ChunksMissing {
	all := Missing(st)
	if e.Lost != nil {
		all = append(all, *e.Lost)
	}
	return all
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
