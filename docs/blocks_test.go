package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// block is one fenced block of shell commands.
type block struct {
	file string
	line int
	text string
	// kind is how it is checked: "run" by running it, "background" by running it beside what follows, "parsed" by reading its options.
	kind string
}

var marker = regexp.MustCompile(`^<!-- checked: ([a-z]+) -->$`)

// blocks returns the sh blocks of a Markdown file. A comment <!-- checked: KIND --> above a block says how it is checked; without one it is run.
func blocks(t *testing.T, file string) []block {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var cur *block
	kind := "run"
	for i, raw := range strings.Split(string(b), "\n") {
		line := strings.TrimSpace(raw)
		m := marker.FindStringSubmatch(line)
		switch {
		case cur != nil && line == "```":
			all, cur, kind = append(all, *cur), nil, "run"
		case cur != nil:
			cur.text += line + "\n"
		case m != nil:
			kind = m[1]
		case line == "```sh":
			cur = &block{file: file, line: i + 1, kind: kind}
		}
	}
	if cur != nil {
		t.Fatalf("%s: the block of line %d has no end", file, cur.line)
	}
	return all
}

// commands returns the words of each command of a block.
func (b block) commands() [][]string {
	var all [][]string
	for _, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n") {
		line, _, _ = strings.Cut(line, " #")
		line, _, _ = strings.Cut(line, " >")
		if words := splitWords(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			all = append(all, words)
		}
	}
	return all
}

// splitWords splits at spaces outside of quotes, as a shell does.
func splitWords(s string) []string {
	var words []string
	var w strings.Builder
	quote, in := rune(0), false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, in = r, true
		case quote == 0 && r == ' ':
			if in {
				words = append(words, w.String())
			}
			w.Reset()
			in = false
		default:
			w.WriteRune(r)
			in = true
		}
	}
	if in {
		words = append(words, w.String())
	}
	return words
}
