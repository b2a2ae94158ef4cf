package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/stages/source"
)

// TestTwoTrees lists PolarDB's two trees: the local one by path, the shared one by path and through the PFS interface.
func TestTwoTrees(t *testing.T) {
	local := t.TempDir()
	shared := filepath.Join(local, "polar_shared_data") // inside of the local tree, as some have it
	for _, name := range []string{
		"PG_VERSION", "postgresql.conf", "base/5/16384", "global/pg_internal.init", "polar_node_static.conf",
		"polar_shared_data/global/pg_control", "polar_shared_data/base/5/16384", "polar_shared_data/base/5/16384_init", "polar_shared_data/pg_wal/x",
		"polar_shared_data/pg_logindex/0", "polar_shared_data/pg_twophase/000002E1",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(local, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(local, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rules := source.NewRules(postgres.ExcludeOptions{ServerVersion: 150008, Polar: true, SharedStorage: true})
	path, err := source.NewPath(source.PathConfig{Dir: local, Shared: shared, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	overPFS, err := source.NewPFS(source.PFSConfig{Local: source.PathConfig{Dir: local, Rules: rules}, FS: pfs.Local(), Dir: shared})
	if err != nil {
		t.Fatal(err)
	}
	defer overPFS.Close()
	type place struct {
		tree messages.Tree
		path string
	}
	want := map[place]source.Kind{
		{0, "PG_VERSION"}: source.File, {0, "postgresql.conf"}: source.File, {0, "base"}: source.Directory, {0, "base/5"}: source.Directory,
		{0, "base/5/16384"}: source.File, {0, "global"}: source.Directory,
		{1, "global"}: source.Directory, {1, "base"}: source.Directory, {1, "base/5"}: source.Directory, {1, "base/5/16384"}: source.File,
		{1, "base/5/16384_init"}: source.File, {1, "pg_wal"}: source.Directory, {1, "pg_wal/archive_status"}: source.Directory,
		{1, "pg_logindex"}: source.Directory, {1, "pg_twophase"}: source.Directory, {1, "pg_twophase/000002E1"}: source.File,
	}
	for name, r := range map[string]source.Reader{"path": path, "pfs": overPFS} {
		got := map[place]source.Kind{}
		if err := r.List(t.Context(), func(e source.Entry) error { got[place{e.Tree, e.Path}] = e.Kind; return nil }); err != nil {
			t.Fatal(err)
		}
		for p, k := range want {
			if got[p] != k {
				t.Errorf("%s: %v is %d, want %d", name, p, got[p], k)
			}
		}
		for p := range got {
			if name == "pfs" && p.tree == messages.TreeLocal && strings.HasPrefix(p.path, "polar_shared_data") {
				continue // what lies on PFS is not below the local tree: here it is only because this PFS is a local directory
			}
			if _, ok := want[p]; !ok {
				t.Errorf("%s: %v is listed", name, p)
			}
		}
		h, err := r.Open(t.Context(), messages.TreeShared, source.ControlFile)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, _ := h.ReadAt(b, 0)
		if string(b[:n]) != "polar_shared_data/global/pg_control" {
			t.Errorf("%s: the control file holds %q", name, b[:n])
		}
		h.Close()
	}
}
