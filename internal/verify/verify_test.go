package verify

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"polarcast/internal/postgres"
)

// copyOf makes a directory with files, and a manifest of them with an algorithm.
func copyOf(t *testing.T, a postgres.ChecksumAlgorithm, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	w, err := postgres.NewManifestWriter(&b, postgres.ManifestOptions{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f := postgres.ManifestFile{Path: name, Size: int64(len(content)), LastModified: time.Unix(1, 0), Algorithm: a}
		if a != postgres.ChecksumNone {
			h := a.New()
			h.Write([]byte(content))
			f.Checksum = h.Sum(nil)
		}
		if err := w.AddFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close([]postgres.ManifestWALRange{{Timeline: 1, Start: 0x2000028, End: 0x2000100}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, postgres.ManifestFileName), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryAlgorithmAndEveryDeviation(t *testing.T) {
	files := map[string]string{"PG_VERSION": "15\n", "base/1/1": "page", "base/1/2": "other", "empty": ""}
	for a := postgres.ChecksumNone; a <= postgres.ChecksumSHA512; a++ {
		for _, c := range []struct {
			name, want string // kind and path
			do         func(dir string)
		}{
			{"nothing", "", func(string) {}},
			{"what a node gets of its own", "", func(dir string) {
				for _, f := range []string{"pg_wal/000000010000000000000001", "postgresql.auto.conf", "standby.signal", "recovery.signal"} {
					write(t, filepath.Join(dir, f), "x")
				}
			}},
			{"missing", "missing base/1/2", func(dir string) { os.Remove(filepath.Join(dir, "base/1/2")) }},
			{"extra", "extra base/1/3", func(dir string) { write(t, filepath.Join(dir, "base/1/3"), "") }},
			{"longer", "size base/1/1", func(dir string) { write(t, filepath.Join(dir, "base/1/1"), "pages") }},
			{"changed", "checksum base/1/1", func(dir string) { write(t, filepath.Join(dir, "base/1/1"), "gape") }},
			{"directory", "missing empty", func(dir string) {
				os.Remove(filepath.Join(dir, "empty"))
				os.Mkdir(filepath.Join(dir, "empty"), 0o700)
			}},
		} {
			want := c.want
			if a == postgres.ChecksumNone && strings.HasPrefix(want, "checksum") {
				want = ""
			}
			dir := copyOf(t, a, files)
			c.do(dir)
			rep, err := Run(t.Context(), Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, p := range rep.Problems {
				got += p.Kind + " " + p.Path
			}
			if got != want || rep.OK != (want == "") || rep.Files != 4 {
				t.Errorf("%s, %s: %q, want %q (%+v)", a, c.name, got, want, rep)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	dir := copyOf(t, postgres.ChecksumSHA256, map[string]string{"a": "1", "log/x": "2"})
	write(t, filepath.Join(dir, "a"), "2")
	write(t, filepath.Join(dir, "log", "y"), "3")
	rep, err := Run(t.Context(), Options{Dir: dir, SkipChecksums: true, Ignore: []string{"log"}})
	if err != nil || !rep.OK {
		t.Errorf("%+v, %v", rep, err)
	}
	if err := os.Remove(filepath.Join(dir, "log", "x")); err != nil {
		t.Fatal(err)
	}
	if rep, err = Run(t.Context(), Options{Dir: dir}); err != nil || len(rep.Problems) != 3 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestWhatCannotBeVerified(t *testing.T) {
	dir := copyOf(t, postgres.ChecksumCRC32C, map[string]string{"a": "1"})
	m := filepath.Join(dir, postgres.ManifestFileName)
	b, err := os.ReadFile(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, m, strings.Replace(string(b), `"Size": 1`, `"Size": 2`, 1))
	if _, err := Run(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "manifest") {
		t.Errorf("a manifest that was changed: %v", err)
	}
	write(t, m, string(b))
	write(t, filepath.Join(dir, ".polarcast", "backup"), "nightly\n")
	if _, err := Run(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "nightly") {
		t.Errorf("an unfinished target: %v", err)
	}
	if _, err := Run(t.Context(), Options{Dir: t.TempDir()}); err == nil {
		t.Error("an empty directory was verified")
	}
}

func TestTwoTreesOfOneManifest(t *testing.T) {
	// PolarDB 15 names both without their tree: the same path twice is the same content twice, or two contents.
	dir := copyOf(t, postgres.ChecksumCRC32C, map[string]string{"pg_xact/0000": "local", "global/1": "shared"})
	write(t, filepath.Join(dir, "polar_shared_data", "global", "1"), "shared")
	if err := os.RemoveAll(filepath.Join(dir, "global")); err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), Options{Dir: dir})
	if err != nil || !rep.OK {
		t.Errorf("%+v, %v", rep, err)
	}
	write(t, filepath.Join(dir, "polar_shared_data", "global", "1"), "SHARED")
	if rep, err = Run(t.Context(), Options{Dir: dir}); err != nil || len(rep.Problems) != 1 || rep.Problems[0].Kind != KindChecksum {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestTablespaceInTheDataDirectory(t *testing.T) {
	dir := copyOf(t, postgres.ChecksumCRC32C, map[string]string{"PG_VERSION": "15", "pg_tblspc/16384/PG_15_202209061/5/1": "x"})
	link, at := filepath.Join(dir, "pg_tblspc", "16384"), filepath.Join(dir, "mine", "a")
	if err := os.Mkdir(filepath.Join(dir, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at, link); err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if rep.CheckedFiles != 2 || !rep.OK {
		t.Errorf("2 files are there: %+v", rep)
	}
}
