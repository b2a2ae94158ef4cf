package polarcast

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/oklog/run"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages"
)

// narrate logs the events of a backup, from now on, while a group runs.
func narrate(ctx context.Context, env stages.Env, g *run.Group) {
	ctx, cancel := context.WithCancel(ctx)
	first := uint64(1)
	if st, err := env.Log().State(ctx); err == nil {
		first = st.Seq + 1
	}
	g.Add(func() error {
		_ = env.Log().Events(ctx, first, true, func(_ uint64, ev messages.Event) error {
			level, text := Describe(ev)
			if ev.Instance != env.Instance || level < slog.LevelWarn { // what this process warns of itself it has said
				env.Logger.Log(ctx, level, text)
			}
			return nil
		})
		<-ctx.Done() // a log that cannot be read fails the stages; this is only for people
		return ctx.Err()
	}, func(error) { cancel() })
}

// Describe says in one line what happened, and how much it matters.
func Describe(ev messages.Event) (slog.Level, string) {
	l := slog.LevelInfo
	switch ev.Type {
	case messages.EventRequested:
		return l, with(ev, func(v messages.Requested) string { return fmt.Sprintf("backup requested for targets %v", v.Targets) })
	case messages.EventPrepared:
		return l, with(ev, func(v messages.Prepared) string {
			return fmt.Sprintf("source is version %s, system identifier %s", v.VersionString, v.SystemID)
		})
	case messages.EventSlotIntended:
		return l, with(ev, func(v messages.SlotIntended) string {
			return fmt.Sprintf("replication slot \"%s\" is being created", v.Slot)
		})
	case messages.EventSlotReady:
		return l, with(ev, func(v messages.SlotReady) string { return fmt.Sprintf("replication slot \"%s\" holds the WAL", v.Slot) })
	case messages.EventSlotDropped:
		return l, with(ev, func(v messages.SlotDropped) string { return fmt.Sprintf("replication slot \"%s\" was dropped", v.Slot) })
	case messages.EventSessionStarted:
		return l, with(ev, func(v messages.SessionStarted) string {
			return fmt.Sprintf("session %d started at %s on timeline %d", v.Session, postgres.LSN(v.StartLSN), v.Timeline)
		})
	case messages.EventSessionLost:
		return slog.LevelWarn, with(ev, func(v messages.SessionLost) string { return fmt.Sprintf("session %d was lost: %s", v.Session, v.Error) })
	case messages.EventFilesSealed:
		return l, with(ev, func(v messages.FilesSealed) string {
			return fmt.Sprintf("%d files of session %d are sealed: %s", v.Count, v.Session, FormatSize(float64(v.Bytes)))
		})
	case messages.EventReadDone:
		return l, with(ev, func(v messages.ReadDone) string {
			return fmt.Sprintf("source was read: %d files, %s, of which %s were delivered before; %s sent", v.Files, FormatSize(float64(v.Bytes)),
				FormatSize(float64(v.UnchangedBytes)), FormatSize(float64(v.SentBytes)))
		})
	case messages.EventSessionStopped:
		return l, with(ev, func(v messages.SessionStopped) string {
			return fmt.Sprintf("session %d ended at %s", v.Session, postgres.LSN(v.EndLSN))
		})
	case messages.EventWALStarted:
		return l, with(ev, func(v messages.WALStarted) string {
			return fmt.Sprintf("WAL is streamed from %s on", postgres.LSN(v.StartLSN))
		})
	case messages.EventWALCaptured:
		return l, with(ev, func(v messages.WALCaptured) string {
			return fmt.Sprintf("WAL was streamed up to %s", postgres.LSN(v.EndLSN))
		})
	case messages.EventWALScanned:
		l = slog.LevelDebug
		text := with(ev, func(v messages.WALScanned) string {
			if v.Reason != "" {
				l = slog.LevelWarn
				return "a lost session will not be gone on with, but compared: " + v.Reason
			}
			return fmt.Sprintf("WAL was looked through up to %s", postgres.LSN(v.End))
		})
		return l, text
	case messages.EventSourceStopped:
		return slog.LevelWarn, with(ev, func(v messages.SourceStopped) string {
			return fmt.Sprintf("the process of the source on host %s (%s) has ended: %s; the same command there continues the backup", v.Host,
				strings.Join(v.Stages, ", "), v.Error)
		})
	case messages.EventNote:
		return l, with(ev, func(v messages.Note) string { return v.Text })
	case messages.EventLimitChanged:
		return l, with(ev, describeLimit)
	case messages.EventCompleted:
		return l, with(ev, func(v messages.Completed) string { return fmt.Sprintf("complete: targets %v", v.Targets) })
	case messages.EventFailed:
		return slog.LevelError, with(ev, func(v messages.Failed) string { return "failed: " + v.Error })
	case messages.EventCancelled:
		return slog.LevelWarn, with(ev, func(v messages.Cancelled) string { return fmt.Sprintf("cancelled by %s: %s", v.By, v.Reason) })
	}
	return describeTarget(ev)
}

func describeTarget(ev messages.Event) (slog.Level, string) {
	l := slog.LevelInfo
	switch ev.Type {
	case messages.EventTargetJoined:
		return l, with(ev, func(v messages.TargetJoined) string {
			return fmt.Sprintf("target \"%s\" is served by %s in \"%s\"", v.Target, v.Host, v.Directory)
		})
	case messages.EventTargetOpened:
		return l, with(ev, func(v messages.TargetOpened) string {
			return fmt.Sprintf("target \"%s\" has its directories", v.Target)
		})
	case messages.EventTargetSurveyed:
		return l, with(ev, func(v messages.TargetSurveyed) string {
			return fmt.Sprintf("target \"%s\" has an old copy of %d files, %s", v.Target, v.Files, FormatSize(float64(v.Bytes)))
		})
	case messages.EventTargetSlot:
		return l, with(ev, describeSlot)
	case messages.EventTargetWritten:
		return l, with(ev, func(v messages.TargetWritten) string {
			return fmt.Sprintf("target \"%s\" was proven complete: %d files, %s", v.Target, v.Files, FormatSize(float64(v.Bytes)))
		})
	case messages.EventChunksMissing:
		return slog.LevelWarn, with(ev, func(v messages.ChunksMissing) string {
			if len(v.Ranges) == 0 {
				return fmt.Sprintf("target \"%s\" misses parts, and the index has lost what it says of them", v.Target)
			}
			return fmt.Sprintf("target \"%s\" misses %d parts, the first is \"%s\" at byte %d", v.Target, len(v.Ranges), v.Ranges[0].Path, v.Ranges[0].Offset)
		})
	case messages.EventNodeConfigured:
		return l, with(ev, func(v messages.NodeConfigured) string {
			return fmt.Sprintf("target \"%s\" is ready in \"%s\"", v.Target, v.Directory)
		})
	case messages.EventTargetFailed:
		return slog.LevelError, with(ev, func(v messages.TargetFailed) string {
			return fmt.Sprintf("target \"%s\" failed: %s", v.Target, v.Error)
		})
	case messages.EventTargetDropped:
		return slog.LevelWarn, with(ev, func(v messages.TargetDropped) string {
			return fmt.Sprintf("target \"%s\" was dropped: %s", v.Target, v.Reason)
		})
	}
	return l, string(ev.Type)
}

func describeSlot(v messages.TargetSlot) string {
	switch {
	case v.Slot == "":
		return fmt.Sprintf("target \"%s\" has created no replication slot", v.Target)
	case v.Created:
		return fmt.Sprintf("replication slot \"%s\" is there for target \"%s\"", v.Slot, v.Target)
	}
	return fmt.Sprintf("replication slot \"%s\" is being created for target \"%s\"", v.Slot, v.Target)
}

func describeLimit(v messages.LimitChanged) string {
	what := "the source"
	if v.Target != "" {
		what = "target \"" + v.Target + "\""
	}
	if v.BytesPerSecond <= 0 {
		return what + " has no rate limit any more"
	}
	return what + " is limited to " + FormatRate(float64(v.BytesPerSecond))
}

func with[T any](ev messages.Event, text func(T) string) string {
	var v T
	if err := ev.Decode(&v); err != nil {
		return err.Error()
	}
	return text(v)
}
