package target

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/pfs"
)

// TestProcessesOfATargetWriteToOnePlace has a process that was told less than the one that writes, as much, and something else.
func TestProcessesOfATargetWriteToOnePlace(t *testing.T) {
	env := startEnv(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	both := []Mapping{{"/ts2", in("new2")}, {"/ts1", in("new1")}}
	layout := func(c Config) *Layout {
		t.Helper()
		c.Name, c.Format, c.Dir = "a", Plain, in("data")
		l, err := NewLayout(c, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	if err := layout(Config{WALDir: in("wal"), Tablespaces: both}).Open(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	st, err := env.Log().State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opened := st.Targets["a"].Opened.Layout
	for _, c := range []struct {
		name  string
		mine  Config
		adopt bool
		want  string // of the error
	}{
		{"nothing said", Config{}, true, ""},
		{"the same said", Config{WALDir: in("wal"), Tablespaces: []Mapping{both[1], both[0]}}, true, ""},
		{"nothing taken over", Config{}, false, "with --waldir=" + in("wal") + ": give this process the same, not no --waldir"},
		{"another WAL directory", Config{WALDir: in("wal2")}, true, "with --waldir=" + in("wal") + ": give this process the same, not --waldir=" + in("wal2")},
		{"another mapping", Config{Tablespaces: both[:1]}, true, "--tablespace-mapping=/ts1=" + in("new1") + " --tablespace-mapping=/ts2=" + in("new2") +
			": give this process the same, not --tablespace-mapping=/ts2=" + in("new2")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.adopt {
				c.mine.Adopt(*opened)
			}
			err := layout(c.mine).Open(t.Context(), env)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if _, err := os.Stat(in("wal2")); err == nil {
		t.Error("a directory was made although the process was refused")
	}
}

// TestAnotherLayoutIsRefusedInARace has a process with another mapping that opens the target while this one is about to.
func TestAnotherLayoutIsRefusedInARace(t *testing.T) {
	env := startEnv(t)
	dir := t.TempDir()
	open := func(first func(), spaces ...Mapping) error {
		l, err := NewLayout(Config{Name: "a", Format: Plain, Dir: filepath.Join(dir, "data"), Tablespaces: spaces}, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		l.local = &overtaken{FS: pfs.Local(), first: first}
		return l.Open(t.Context(), env)
	}
	err := open(func() {
		if err := open(nil, Mapping{"/ts", filepath.Join(dir, "ts")}); err != nil {
			t.Errorf("the first: %v", err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), "is being written with --tablespace-mapping=/ts=") {
		t.Errorf("the second: %v", err)
	}
}
