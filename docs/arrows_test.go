package docs

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// layers from the bottom to the top: a package imports packages of its own and of lower layers.
var layers = []string{"internal/oserr", "messages", "pfs", "internal/postgres", "pipeline", "stages", "internal/verify", "internal/cli", "internal/dropin", "internal/polarcast", "cmd"}

func layer(pkg string) int {
	for i, l := range layers {
		if pkg == l || strings.HasPrefix(pkg, l+"/") {
			return i
		}
	}
	return -1
}

// The arrows between packages are those of architecture.md.
func TestArrows(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil {
			return err
		}
		from := layer(filepath.ToSlash(rel))
		if from < 0 {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			name := strings.Trim(imp.Path.Value, `"`)
			if strings.Contains(name, "nats-io/") && layers[from] != "pipeline" {
				t.Errorf("%s imports %s: only pipeline does", path, name)
			}
			pkg, ok := strings.CutPrefix(name, "polarcast/")
			if !ok {
				continue
			}
			if to := layer(pkg); to < 0 || to > from {
				t.Errorf("%s imports %s, which is above it", path, pkg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
