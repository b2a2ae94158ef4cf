package target

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"polarcast/messages"
	"polarcast/pfs"
)

// TestWalkIsResolveTheOtherWay walks a target with a shared tree, a tablespace elsewhere and one in place, and finds the names that Resolve has led there.
func TestWalkIsResolveTheOtherWay(t *testing.T) {
	dir := t.TempDir()
	l, err := NewLayout(Config{Dir: filepath.Join(dir, "data"), Tablespaces: []Mapping{{"/src", filepath.Join(dir, "ts")}}}, true,
		[]messages.Tablespace{{OID: 16384, Location: "/src"}, {}})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range []struct {
		tree messages.Tree
		path string
		seen bool
	}{
		{messages.TreeLocal, "PG_VERSION", true},
		{messages.TreeLocal, "base/1/112", true},
		{messages.TreeLocal, "pg_tblspc/16384/PG_15_202209061/5/16385", true},
		{messages.TreeLocal, "pg_tblspc/16390/PG_15_202209061/5/16391", true},
		{messages.TreeLocal, MarkerDir + "/backup", false},
		{messages.TreeShared, "base/1/112", true},
		{messages.TreeShared, "pg_tblspc/16391/PG_15_202209061/5/1", true},
		{messages.TreeWAL, "000000010000000000000001", false},
	} {
		at, err := l.Resolve(r.tree, r.path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(at.Path), 0o700)
		}
		if err == nil {
			err = os.WriteFile(at.Path, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.seen {
			want = append(want, fmt.Sprint(r.tree, " ", r.path))
		}
	}
	for link, to := range map[string]string{"pg_tblspc/16384": filepath.Join(dir, "ts"), "base/link": dir} {
		if err := os.Symlink(to, filepath.Join(dir, "data", link)); err != nil {
			t.Fatal(err)
		}
	}
	want = append(want, fmt.Sprint(messages.TreeLocal, " pg_tblspc/16384"), fmt.Sprint(messages.TreeLocal, " base/link"))
	var got, dirs []string
	err = l.Walk(func(tree messages.Tree, path string, at Place, e pfs.DirEntry) error {
		name := fmt.Sprint(tree, " ", path)
		if e.Dir {
			dirs = append(dirs, name)
			return nil
		}
		for _, d := range dirs {
			if strings.HasPrefix(name, d+"/") {
				t.Errorf("%s came after its directory", name)
			}
		}
		got = append(got, name)
		if _, err := os.Lstat(at.Path); err != nil {
			t.Error(err)
		}
		return nil
	})
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, want %v, %v", got, want, err)
	}
}
