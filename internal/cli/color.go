package cli

import (
	"os"
	"strings"

	"golang.org/x/term"
)

// palette holds the SGR codes of the parts of a message; empty for no colour.
// Names, defaults and rules are those of pg_logging_init in PostgreSQL's
// src/common/logging.c.
type palette struct{ err, warning, note, locus string }

// newPalette reads PG_COLOR (always, auto, never) and PG_COLORS
// (error=01;31:warning=01;35:note=01;36:locus=01).
func newPalette(getenv func(string) (string, bool), terminal bool) palette {
	when, _ := getenv("PG_COLOR")
	if when != "always" && (when != "auto" || !terminal) {
		return palette{}
	}
	colors, ok := getenv("PG_COLORS")
	if !ok {
		return palette{err: "01;31", warning: "01;35", note: "01;36", locus: "01"}
	}
	var p palette
	for _, token := range strings.Split(colors, ":") {
		name, code, found := strings.Cut(token, "=")
		if !found {
			continue
		}
		switch name {
		case "error":
			p.err = code
		case "warning":
			p.warning = code
		case "note":
			p.note = code
		case "locus":
			p.locus = code
		}
	}
	return p
}

func paint(code, text string) string {
	if code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// IsTerminal says whether w is a terminal.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
