package polarcast

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"polarcast/internal/cli"
)

// Formats of --log-format.
const (
	LogText = "text"
	LogJSON = "json"
)

// NewLogger writes what happens for people, or as one JSON object a line. Without verbose there are warnings and errors only.
func NewLogger(w io.Writer, format string, verbose bool, m *cli.Messages) (*slog.Logger, error) {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	switch format {
	case LogText:
		return slog.New(&textHandler{m: m, level: level}), nil
	case LogJSON:
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	}
	return nil, cli.Errorf("invalid --log-format argument \"%s\", must be \"text\" or \"json\"", format)
}

// textHandler shows records as PostgreSQL's programs show messages.
type textHandler struct {
	m     *cli.Messages
	level slog.Level
	attrs []slog.Attr
}

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	add := func(a slog.Attr) bool {
		text += fmt.Sprintf(" (%s: %s)", a.Key, a.Value)
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

func (h *textHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &textHandler{m: h.m, level: h.level, attrs: append(append([]slog.Attr{}, h.attrs...), a...)}
}

func (h *textHandler) WithGroup(string) slog.Handler { return h }
