package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func noEnv(string) (string, bool) { return "", false }

// messages prints into b, without colours.
func messages(b *bytes.Buffer, verbose bool) *Messages {
	m := NewMessages(b, "/usr/bin/polar_basebackup", verbose)
	m.colors = newPalette(noEnv, false)
	return m
}

func TestMessageForms(t *testing.T) {
	var b bytes.Buffer
	m := messages(&b, false)
	m.Info("a %d", 1)
	m.Verbose("hidden")
	m.Error("b\n")
	m.Warning("c")
	m.Detail("d")
	m.Hint("e")
	m.Notice("WARNING", "w", "d", "h")
	m.Notice("NOTICE", "n", "", "")
	m.Fail(&Error{Form: FormGetopt, Text: "t", Hint: "h"})
	m.Fail(&Error{Form: FormBare, Text: "t", Details: []string{"x", "y"}})
	m.Fail(&Error{Hint: "only a hint"})
	m.Fail(errors.New("any"))
	m.Fail(fmt.Errorf("around: %w", &Error{Text: "in", Hint: "h"}))
	m.WaitingForCheckpoint()
	want := `polar_basebackup: a 1
polar_basebackup: error: b
polar_basebackup: warning: c
polar_basebackup: detail: d
polar_basebackup: hint: e
WARNING:  w
DETAIL:  d
HINT:  h
NOTICE:  n
/usr/bin/polar_basebackup: t
polar_basebackup: hint: h
polar_basebackup: t
polar_basebackup: detail: x
polar_basebackup: detail: y
polar_basebackup: hint: only a hint
polar_basebackup: error: any
polar_basebackup: error: around: in
polar_basebackup: hint: h
waiting for checkpoint
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestMessageFormsByVersion(t *testing.T) {
	for version, want := range map[int]string{
		110009: "polar_basebackup: e\npolar_basebackup: w\nDETAIL: d\nh\n",
		130005: "polar_basebackup: error: e\npolar_basebackup: warning: w\npolar_basebackup: detail: d\nh\n",
		150008: "polar_basebackup: error: e\npolar_basebackup: warning: w\npolar_basebackup: detail: d\npolar_basebackup: hint: h\n",
	} {
		var b bytes.Buffer
		m := messages(&b, true)
		m.SetServerVersion(version)
		m.Error("e")
		m.Warning("w")
		m.Detail("d")
		m.Hint("h")
		if b.String() != want {
			t.Errorf("%d: %q", version, b.String())
		}
	}
}

func TestColors(t *testing.T) {
	for _, c := range []struct {
		color, colors string
		terminal      bool
		want          string
	}{
		{"", "", true, "p: error: x\n"},
		{"auto", "", false, "p: error: x\n"},
		{"never", "", true, "p: error: x\n"},
		{"auto", "", true, "\x1b[01mp: \x1b[0m\x1b[01;31merror: \x1b[0mx\n"},
		{"always", "", false, "\x1b[01mp: \x1b[0m\x1b[01;31merror: \x1b[0mx\n"},
		{"always", "error=4:nonsense:note=5", false, "p: \x1b[4merror: \x1b[0mx\n"},
	} {
		var b bytes.Buffer
		m := NewMessages(&b, "p", false)
		m.colors = newPalette(func(name string) (string, bool) {
			if name == "PG_COLOR" {
				return c.color, c.color != ""
			}
			return c.colors, c.colors != ""
		}, c.terminal)
		m.Error("x")
		if b.String() != c.want {
			t.Errorf("%+v: %q", c, b.String())
		}
	}
}

func TestProgressLines(t *testing.T) {
	name := strings.Repeat("n", 35)
	for _, c := range []struct {
		verbose, finished bool
		pos               Position
		want              string
	}{
		{false, false, Position{DoneBytes: 512 << 10, TotalKB: 1024, Tablespaces: 1}, " 512/1024 kB (50%), 0/1 tablespace\n"},
		{false, true, Position{DoneBytes: 871804 << 10, TotalKB: 871804, Tablespace: 2, Tablespaces: 2}, "871804/871804 kB (100%), 2/2 tablespaces\n"},
		{false, false, Position{DoneBytes: 3 << 20, TotalKB: 1024, Tablespaces: 2}, "3072/3072 kB (100%), 0/2 tablespaces\n"},
		{false, false, Position{Tablespaces: 1}, "0/0 kB (0%), 0/1 tablespace\n"},
		{false, false, Position{DoneBytes: -1, TotalKB: -1, Tablespaces: 1}, "0/0 kB (0%), 0/1 tablespace\n"},
		{false, false, Position{DoneBytes: 1 << 62, TotalKB: 1 << 60, Tablespaces: 1}, "   4503599627370496/1152921504606846976 kB (0%), 0/1 tablespace\n"},
		{true, false, Position{DoneBytes: 1024, TotalKB: 4, Tablespaces: 1, File: "data/base.tar"}, "1/4 kB (25%), 0/1 tablespace (data/base.tar" + strings.Repeat(" ", 22) + ")\n"},
		{true, false, Position{DoneBytes: 1024, TotalKB: 4, Tablespaces: 1, File: name}, "1/4 kB (25%), 0/1 tablespace (" + name + ")\n"},
		{true, false, Position{DoneBytes: 1024, TotalKB: 4, Tablespaces: 1, File: "abcd" + name[:32]}, "1/4 kB (25%), 0/1 tablespace (..." + name[:32] + ")\n"},
		{true, true, Position{DoneBytes: 1024, TotalKB: 4, Tablespace: 1, Tablespaces: 1, File: "x"}, "1/4 kB (100%), 1/1 tablespace " + strings.Repeat(" ", 40) + "\n"},
	} {
		var b bytes.Buffer
		messages(&b, c.verbose).Progress().Report(c.pos, true, c.finished)
		if b.String() != c.want {
			t.Errorf("%+v:\n got %q\nwant %q", c, b.String(), c.want)
		}
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var b bytes.Buffer
	m := messages(&b, false)
	p := m.Progress()
	now := time.Unix(100, 0)
	m.terminal, p.now = true, func() time.Time { return now }
	at := func(kb int64) Position { return Position{DoneBytes: kb << 10, TotalKB: 4, Tablespaces: 1} }
	m.WaitingForCheckpoint()
	m.Notice("WARNING", "w", "", "")
	m.WaitingForCheckpoint()
	p.Report(at(1), false, false)
	p.Report(at(2), false, false) // the same second: not shown
	now = now.Add(time.Second)
	p.Report(at(3), false, false)
	m.Info("between")
	p.Report(at(4), false, true)
	m.Info("after")
	want := "waiting for checkpoint\r\nWARNING:  w\nwaiting for checkpoint\r1/4 kB (25%), 0/1 tablespace\r3/4 kB (75%), 0/1 tablespace\r\npolar_basebackup: between\n4/4 kB (100%), 0/1 tablespace\npolar_basebackup: after\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}
