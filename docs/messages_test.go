package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	firstCell = regexp.MustCompile(`^\| (.*?) \|`)
	quoted    = regexp.MustCompile("`([^`]+)`")
	joined    = regexp.MustCompile(`" \+\s*"`)
)

// Every message that the page for troubleshooting explains is one that the programs print.
func TestEveryMessageIsPrinted(t *testing.T) {
	source := sources(t)
	page, err := os.ReadFile("troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for i, line := range strings.Split(string(page), "\n") {
		cell := firstCell.FindStringSubmatch(line)
		if cell == nil {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cell[1], -1) {
			seen++
			if m[1] == "No space left on device" {
				continue // the system's words
			}
			for _, part := range strings.Split(m[1], "…") {
				if part = strings.TrimSpace(part); len(part) > 3 && !strings.Contains(source, part) {
					t.Errorf("troubleshooting.md:%d: no program prints %q", i+1, part)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d messages were found", seen)
	}
}

// sources returns all code without its tests, with strings as they are printed.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"../cmd", "../internal", "../messages", "../pfs", "../pipeline", "../stages"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			all.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := joined.ReplaceAllString(all.String(), "")
	return strings.NewReplacer(`\"`, `"`, `%q`, `"%s"`).Replace(s)
}
