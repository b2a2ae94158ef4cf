package target

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/messages"
)

// TestSpacesApart puts two tablespaces, in the order in which the server lists them, where pg_basebackup fails in the middle, and where it does not.
func TestSpacesApart(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("x", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ first, second, want string }{
		{"x", "y", ""},
		{"x", "xy", ""},
		{"x", "x", "the one in \"/src/1\" goes there too"},
		{"x", "link", "goes there too"},
		{"x/new", "link/new", "goes there too"},
		{"x", "x/in", ""},
		{"x/in", "x", "the one in \"/src/1\" goes to \"" + dir + "/x/in\""},
		{"x", "x/PG_15_202209061/5", "goes to"},
		{"x", "data/mine", ""},
		{"x", "data", ""},
		{"x", "data/base", "directory \"" + dir + "/data/base\" is for other files of the backup"},
		{"x", "data/global/in", "data/global\" is for other files"},
		{"x", "data/pg_tblspc/7", "data/pg_tblspc\" is for other files"},
		{"x", "data/.polarcast", "data/.polarcast\" is for other files"},
	} {
		cfg := Config{Dir: filepath.Join(dir, "data"), Tablespaces: []Mapping{{"/src/1", filepath.Join(dir, c.first)}, {"/src/2", filepath.Join(dir, c.second)}}}
		spaces := []messages.Tablespace{{OID: 16384, Location: "/src/1"}, {OID: 16385, Location: "/src/2"}, {OID: 16386, Location: "pg_tblspc/16386"}, {}}
		l, err := NewLayout(cfg, false, spaces)
		if err != nil {
			t.Fatal(err)
		}
		err = l.checkSpaces()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s and %s: %v, want %q", c.first, c.second, err, c.want)
		}
		cfg.Format = Tar
		if l, err = NewLayout(cfg, false, spaces); err != nil || l.checkSpaces() != nil {
			t.Errorf("archives: %v, %v", err, l.checkSpaces())
		}
	}
	// A tablespace that was dropped, and another that has its directory now.
	l, err := NewLayout(Config{Dir: filepath.Join(dir, "data")}, false, []messages.Tablespace{{OID: 16384, Location: dir + "/x"}})
	if err != nil || !l.AddSpaces([]messages.Tablespace{{OID: 16999, Location: dir + "/x"}}) || l.checkSpaces() != nil {
		t.Errorf("a new tablespace in the place of a dropped one is refused: %v, %v", err, l.checkSpaces())
	}
}
