package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// Messages prints lines to a person as PostgreSQL's frontend programs do:
// "progname: text", "progname: error: text", "progname: hint: text". Its methods
// may be called from several goroutines; a line is written in one piece.
type Messages struct {
	argv0    string
	prog     string
	verbose  bool
	terminal bool
	colors   palette

	mu    sync.Mutex
	w     io.Writer
	major int  // of the server; 0 while it is not known
	open  bool // a line that updates stands on the terminal
}

// NewMessages prints to w for the program that was called as argv0. Colours
// follow PG_COLOR and PG_COLORS of the environment.
func NewMessages(w io.Writer, argv0 string, verbose bool) *Messages {
	terminal := IsTerminal(w)
	return &Messages{
		argv0: argv0, prog: ProgName(argv0), verbose: verbose, w: w,
		terminal: terminal, colors: newPalette(os.LookupEnv, terminal),
	}
}

// SetServerVersion makes the wording that of the original of the server's
// version (server_version_num: 110009, 150018). Before it is called, the wording
// is that of the newest.
func (m *Messages) SetServerVersion(num int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.major = num / 10000
}

// IsVerbose says whether Verbose prints.
func (m *Messages) IsVerbose() bool { return m.verbose }

// Info prints "progname: text".
func (m *Messages) Info(format string, args ...any) {
	m.put(m.locus()+fmt.Sprintf(format, args...), "")
}

// Verbose prints as Info does, with -v only.
func (m *Messages) Verbose(format string, args ...any) {
	if m.verbose {
		m.Info(format, args...)
	}
}

// Error prints "progname: error: text".
func (m *Messages) Error(format string, args ...any) {
	m.part(m.colors.err, "error: ", fmt.Sprintf(format, args...))
}

// Warning prints "progname: warning: text".
func (m *Messages) Warning(format string, args ...any) {
	m.part(m.colors.warning, "warning: ", fmt.Sprintf(format, args...))
}

// Detail prints "progname: detail: text", after an error or a warning.
func (m *Messages) Detail(format string, args ...any) {
	m.part(m.colors.note, "detail: ", fmt.Sprintf(format, args...))
}

// Hint prints "progname: hint: text".
func (m *Messages) Hint(format string, args ...any) {
	m.part(m.colors.note, "hint: ", fmt.Sprintf(format, args...))
}

// Fail prints an error that ends the program: in full when it is or wraps an
// [*Error], else its text.
func (m *Messages) Fail(err error) {
	var e *Error
	if !errors.As(err, &e) {
		m.Error("%s", err)
		return
	}
	text := e.Text
	if err != error(e) {
		text = err.Error() // what was wrapped around it belongs to the message
	}
	switch {
	case text == "":
	case e.Form == FormGetopt:
		m.put(m.argv0+": "+text, "")
	case e.Form == FormBare:
		m.Info("%s", text)
	default:
		m.Error("%s", text)
	}
	for _, detail := range e.Details {
		m.Detail("%s", detail)
	}
	if e.Hint != "" {
		m.Hint("%s", e.Hint)
	}
}

// Notice prints a notice of the server as libpq does: "WARNING:  text", then
// "DETAIL:" and "HINT:" lines where they are not empty.
func (m *Messages) Notice(severity, message, detail, hint string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:  %s", severity, message)
	if detail != "" {
		fmt.Fprintf(&b, "\nDETAIL:  %s", detail)
	}
	if hint != "" {
		fmt.Fprintf(&b, "\nHINT:  %s", hint)
	}
	m.put("", b.String())
}

// WaitingForCheckpoint prints what stands in the place of the progress line
// until the server starts to send, when there is no -v line about it.
func (m *Messages) WaitingForCheckpoint() {
	if m.verbose {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.update("waiting for checkpoint", false)
}

// part prints a line with its prefix, or without it where the original of the
// server's version has none: 11 has no prefixes, and hints got theirs in 15.
func (m *Messages) part(code, prefix, text string) {
	m.mu.Lock()
	major := m.major
	m.mu.Unlock()
	switch {
	case major > 0 && major < 15 && prefix == "hint: ":
		m.put("", text)
	case major > 0 && major < 12 && prefix == "detail: ":
		m.put("", "DETAIL: "+text)
	case major > 0 && major < 12:
		m.put(m.locus(), text)
	default:
		m.put(m.locus()+paint(code, prefix), text)
	}
}

func (m *Messages) locus() string { return paint(m.colors.locus, m.prog+": ") }

func (m *Messages) put(prefix, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open {
		fmt.Fprint(m.w, "\n") // so that the message does not write over the line
		m.open = false
	}
	fmt.Fprint(m.w, prefix+strings.TrimSuffix(text, "\n")+"\n")
}

// update prints a line that the next one replaces on a terminal, unless it is
// the last. Called with the lock held.
func (m *Messages) update(line string, last bool) {
	m.open = m.terminal && !last
	end := "\n"
	if m.open {
		end = "\r"
	}
	fmt.Fprint(m.w, line+end)
}
