// Package docs has no code: its tests hold what the documentation shows against the programs.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"polarcast/internal/cli/basebackup"
	"polarcast/testenv"
)

// Every command in every page is one that the programs understand, and every link between pages leads somewhere.
func TestEveryCommandIsUnderstood(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../README.md", "../DEVELOPERS.md") {
		for _, b := range blocks(t, file) {
			for _, words := range b.commands() {
				seen++
				understood(t, b, words, string(makefile))
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found: blocks of commands begin with ```sh", seen)
	}
}

// others are programs that are not ours.
var others = map[string]bool{"pg_ctl": true, "docker": true, "psql": true, "cd": true}

func understood(t *testing.T, b block, words []string, makefile string) {
	t.Helper()
	switch words[0] {
	case "make":
		if len(words) != 2 || !strings.Contains("\n"+makefile, "\n"+words[1]+":") {
			t.Errorf("%s:%d: the Makefile has no target for %q", b.file, b.line, words)
		}
	case "polar_basebackup":
		if _, err := basebackup.Parse(words); err != nil {
			t.Errorf("%s:%d: %q: %v", b.file, b.line, words, err)
		}
	case "polarcast":
		parses(t, b.file, b.line, words)
	default:
		if !others[words[0]] {
			t.Errorf("%s:%d: what is %q?", b.file, b.line, words[0])
		}
	}
}

// parses lets polarcast read a command line and show its help instead of doing it.
func parses(t *testing.T, file string, line int, words []string) {
	t.Helper()
	p := testenv.StartProcess(t, testenv.ProcessOptions{}, testenv.Binary(t, "polarcast"), append(words[1:], "--help")...)
	if code := p.Wait(time.Minute); code != 0 {
		t.Errorf("%s:%d: %q: %s", file, line, words, p.Stderr())
	}
}

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../README.md", "../CHANGELOG.md", "../DEVELOPERS.md", "../examples/README.md") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", file, m[1])
			}
		}
	}
}
