package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"polarcast/internal/cli"
)

// logHandler shows what stages log as the program's own messages.
type logHandler struct{ m *cli.Messages }

func (h logHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || (l >= slog.LevelInfo && h.m.IsVerbose())
}

func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		value := strings.Join(strings.Fields(a.Value.String()), " ") // libpq's errors have several lines
		text += fmt.Sprintf(" (%s: %s)", a.Key, value)
		return true
	})
	switch {
	case r.Level >= slog.LevelError:
		h.m.Error("%s", text)
	case r.Level >= slog.LevelWarn:
		h.m.Warning("%s", text)
	default:
		h.m.Info("%s", text)
	}
	return nil
}

func (h logHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h logHandler) WithGroup(string) slog.Handler      { return h }
