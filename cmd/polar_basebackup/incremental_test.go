package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/testenv"
)

// An incremental backup holds what pg_combinebackup needs: its manifest, and files of changed blocks only.
func TestIncremental(t *testing.T) {
	t.Parallel()
	for _, major := range []int{17, 18} {
		s := testenv.Start(t, major, testenv.Options{Conf: "summarize_wal = on\n"})
		s.LoadTPCB(1, 20000)
		full, inc := newDir(t), newDir(t)
		must(t, s, stream("-D", full)...)
		s.Exec("UPDATE pgbench_branches SET bbalance = 1")
		manifest := filepath.Join(full, "backup_manifest")
		must(t, s, stream("-D", inc, "--incremental", manifest)...)
		clean(t, inc)
		found, _ := filepath.Glob(filepath.Join(inc, "base", "*", "INCREMENTAL.*"))
		if len(found) == 0 {
			t.Errorf("%d: no incremental file", major)
		}
		b, err := os.ReadFile(filepath.Join(inc, "backup_manifest"))
		var m struct {
			Files []struct {
				Path string
				Size int64
			}
		}
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		if err != nil || len(m.Files) == 0 {
			t.Fatalf("%d: manifest: %v", major, err)
		}
		for _, f := range m.Files {
			if fi, err := os.Stat(filepath.Join(inc, f.Path)); err != nil || fi.Size() != f.Size {
				t.Errorf("%d: %s is not as its manifest says: %v", major, f.Path, err)
			}
		}
		label, _ := os.ReadFile(filepath.Join(inc, "backup_label"))
		if !strings.Contains(string(label), "INCREMENTAL FROM LSN") {
			t.Errorf("%d: label %s", major, label)
		}
		other := filepath.Join(testenv.Dir(t), "manifest")
		if err := os.WriteFile(other, []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
		p := start(t, s, stream("-D", newDir(t), "--incremental", other)...)
		fails(t, p, "manifest")
		p = start(t, s, stream("-D", newDir(t), "--incremental", "/no/such/manifest")...)
		fails(t, p, "could not open file \"/no/such/manifest\"")
		s.NoBackupLeft()
	}
}
