package polarcast

import (
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
		return slog.New(cli.NewLogHandler(m)), nil
	case LogJSON:
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	}
	return nil, cli.Errorf("invalid --log-format argument \"%s\", must be \"text\" or \"json\"", format)
}
