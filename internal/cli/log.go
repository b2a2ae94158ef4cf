package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// LogHandler shows log records as PostgreSQL's programs show their messages, each on one line: their level decides between error, warning and info.
// Without Messages.Verbose there are warnings and errors only.
type LogHandler struct {
	m     *Messages
	attrs []slog.Attr
}

// NewLogHandler shows records through m.
func NewLogHandler(m *Messages) *LogHandler { return &LogHandler{m: m} }

// Enabled implements slog.Handler.
func (h *LogHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || l >= slog.LevelInfo && h.m.IsVerbose()
}

// Handle implements slog.Handler.
func (h *LogHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	add := func(a slog.Attr) bool {
		text += fmt.Sprintf(" (%s: %s)", a.Key, strings.Join(strings.Fields(a.Value.String()), " ")) // libpq's errors have several lines
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
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

// WithAttrs implements slog.Handler.
func (h *LogHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &LogHandler{m: h.m, attrs: slices.Concat(h.attrs, a)}
}

// WithGroup implements slog.Handler; groups are not shown.
func (h *LogHandler) WithGroup(string) slog.Handler { return h }
