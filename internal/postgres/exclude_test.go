package postgres

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRelationNames(t *testing.T) {
	for name, want := range map[string]RelationFile{
		"16384": {Node: 16384}, "16384.1": {Node: 16384, Segment: 1}, "16384_fsm": {Node: 16384, Fork: FreeSpaceFork},
		"16384_vm.12": {Node: 16384, Fork: VisibilityFork, Segment: 12}, "16384_init": {Node: 16384, Fork: InitFork}, "4294967295": {Node: 4294967295},
	} {
		node, fork, segment, ok := ParseRelationName(name)
		if got := (RelationFile{Node: node, Fork: fork, Segment: segment}); !ok || got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "0", "016384", "16384.", "16384.0", "16384.01", "16384_", "16384_foo", "16384_vmx", "x16384", "4294967296", "99999999999999999999", "16384.1.2", "t3_16384", "PG_VERSION", "pg_filenode.map", "16384_vm_fsm"} {
		if _, _, _, ok := ParseRelationName(name); ok {
			t.Errorf("%q was taken for a relation", name)
		}
	}
	for _, name := range []string{"t3_16384", "t0_1_fsm", "t12_16384.3", "t12_16384_vm.3", "t1_2_init"} {
		if !IsTempRelationName(name) {
			t.Errorf("%q is temporary", name)
		}
	}
	for _, name := range []string{"", "t", "t3", "t3_", "t_3", "3_4", "t3_4_", "t3_4_foo", "t3_4.", "t3_4.x", "t3_4x", "tx_4"} {
		if IsTempRelationName(name) {
			t.Errorf("%q is not temporary", name)
		}
	}
}

func TestRelationPaths(t *testing.T) {
	for path, want := range map[string]RelationFile{
		"global/1262": {Node: 1262}, "base/5/16384.2": {Database: 5, Node: 16384, Segment: 2},
		"pg_tblspc/16390/PG_15_202209061/5/16384_init": {Tablespace: 16390, Database: 5, Node: 16384, Fork: InitFork},
	} {
		if got, ok := ParseRelationPath(path); !ok || got != want {
			t.Errorf("%s: %+v, %v", path, got, ok)
		}
	}
	for _, path := range []string{"16384", "base/16384", "base/5/6/16384", "base/x/16384", "global/5/16384", "pg_tblspc/1/x/5/16384", "pg_tblspc/x/PG_15_1/5/16384", "global/pg_control", "base/5/pg_filenode.map", "pg_xact/0001"} {
		if got, ok := ParseRelationPath(path); ok {
			t.Errorf("%s was taken for %+v", path, got)
		}
	}
}

func TestExcludes(t *testing.T) {
	exists := func(path string) bool { return path == "base/5/100_init" }
	cases := []struct {
		o    ExcludeOptions
		path string
		dir  bool
		want Decision
	}{
		{ExcludeOptions{ServerVersion: 150000}, "global/pg_control", false, CopyLast},
		{ExcludeOptions{ServerVersion: 150000}, "base/5/100", false, Skip},
		{ExcludeOptions{ServerVersion: 150000}, "base/5/100_fsm.1", false, Skip},
		{ExcludeOptions{ServerVersion: 150000}, "base/5/100_init", false, Copy},
		{ExcludeOptions{ServerVersion: 150000}, "base/5/101", false, Copy},
		{ExcludeOptions{ServerVersion: 150008, Polar: true}, "base/5/100", false, Skip},
		{ExcludeOptions{ServerVersion: 150008, Polar: true, SharedStorage: true}, "base/5/100", false, Copy},
		{ExcludeOptions{ServerVersion: 150000}, "base/5/t3_7", false, Skip},
		{ExcludeOptions{ServerVersion: 150000}, "pg_tblspc/9/PG_15_202209061/5/t3_7_vm", false, Skip},
		{ExcludeOptions{ServerVersion: 150000}, "global/t3_7", false, Copy},
		{ExcludeOptions{ServerVersion: 150000}, "base/pgsql_tmp", true, Skip},
		{ExcludeOptions{ServerVersion: 150000}, "base/5/pg_internal.init.123", false, Skip},
		{ExcludeOptions{ServerVersion: 150000}, "backup_manifest", false, Skip},
		{ExcludeOptions{ServerVersion: 120000}, "backup_manifest", false, Copy},
		{ExcludeOptions{ServerVersion: 150000}, "pg_wal", true, CopyEmpty},
		{ExcludeOptions{ServerVersion: 150000}, "pg_replslot", true, CopyEmpty},
		{ExcludeOptions{ServerVersion: 150000}, "pg_replslot", false, Copy},
		{ExcludeOptions{ServerVersion: 150000}, "pg_logindex", true, Copy},
		{ExcludeOptions{ServerVersion: 150008, Polar: true}, "pg_logindex", true, CopyEmpty},
		{ExcludeOptions{ServerVersion: 110009, Polar: true}, "polar_node_static.conf", false, Skip},
		{ExcludeOptions{ServerVersion: 110009, Polar: true, LogDirectory: "pg_log"}, "pg_log", true, Skip},
		{ExcludeOptions{ServerVersion: 150008, Polar: true, LogDirectory: "pg_log"}, "pg_log", true, Copy},
		{ExcludeOptions{ServerVersion: 110009, Polar: true, LogDirectory: "/var/log"}, "var/log", true, Copy},
		{ExcludeOptions{ServerVersion: 110009, Polar: true}, "pg_stat/pg_stat_statements.stat", false, Skip},
		{ExcludeOptions{ServerVersion: 110009}, "pg_stat/pg_stat_statements.stat", false, Copy},
		{ExcludeOptions{ServerVersion: 150008, Polar: true}, "polar_fullpage/1.fp", false, Copy},
		{ExcludeOptions{ServerVersion: 110000, StatsTempDirectory: "./tmp_stats/"}, "tmp_stats", true, CopyEmpty},
		{ExcludeOptions{ServerVersion: 150000}, "postgresql.auto.conf", false, Copy},
		{ExcludeOptions{ServerVersion: 150000}, "backup_label.old", false, Copy},
	}
	for _, c := range cases {
		if got := NewExcludes(c.o).Decide(c.path, c.dir, exists); got != c.want {
			t.Errorf("%+v %s: %d, want %d", c.o, c.path, got, c.want)
		}
	}
}

// The same directory, once copied by pg_basebackup and once listed by these rules, must give the same paths.
func TestExcludesLikePgBasebackup(t *testing.T) {
	c := initCluster(t)
	c.start()
	c.sql("CREATE UNLOGGED TABLE u AS SELECT 1 AS i", "CREATE TABLE l AS SELECT 1 AS i", "VACUUM u, l", "SELECT pg_create_physical_replication_slot('s', true)", "CHECKPOINT")
	db := "base/" + c.sql("SELECT oid FROM pg_database WHERE datname = 'postgres'")
	for _, name := range []string{db + "/t3_99999", db + "/t3_99999_fsm.1", db + "/pgsql_tmp12", "pgsql_tmp_file", "base/pgsql_tmpdir/x", "global/pg_internal.init.77", "current_logfiles.tmp",
		"postgresql.auto.conf.tmp", "tablespace_map", "backup_manifest", ".DS_Store", "note.txt", db + "/note.txt", "pg_notify/x", "pg_subtrans/y", "backup_label.old", "sub/pg_notify/z", "global/t3_5"} {
		path := filepath.Join(c.dir, name)
		c.share(filepath.Dir(path))
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	target := c.share(c.socket + "/copy")
	c.run(filepath.Join(postgresBin(t), "pg_basebackup"), "-D", target, "-h", c.socket, "-p", c.port, "-U", "postgres", "-c", "fast", "-X", "none", "--no-manifest", "--no-verify-checksums")
	var want, got []string
	filepath.WalkDir(target, func(path string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(target, path); err == nil && rel != "." && rel != BackupLabelFile {
			want = append(want, rel)
		}
		return err
	})
	e := NewExcludes(ExcludeOptions{ServerVersion: 150000})
	filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(c.dir, path)
		if err != nil || rel == "." {
			return err
		}
		switch e.Decide(rel, d.IsDir(), func(p string) bool { _, err := os.Lstat(filepath.Join(c.dir, p)); return err == nil }) {
		case Skip:
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case CopyEmpty:
			got = append(got, rel)
			return fs.SkipDir
		}
		got = append(got, rel)
		return nil
	})
	for _, dir := range e.EmptyDirectories() {
		if !slices.Contains(got, dir) {
			got = append(got, dir)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Error(UnifiedDiff("pg_basebackup", "rules", []byte(strings.Join(want, "\n")+"\n"), []byte(strings.Join(got, "\n")+"\n")))
	}
	if len(want) < 500 {
		t.Errorf("only %d paths were compared", len(want))
	}
}

func FuzzRelationPath(f *testing.F) {
	f.Add("pg_tblspc/16390/PG_15_202209061/5/16384_init.1")
	f.Add("base/5/t3_4_fsm.1")
	f.Fuzz(func(t *testing.T, path string) {
		for _, shared := range []bool{true, false} {
			e := NewExcludes(ExcludeOptions{ServerVersion: 110009, Polar: true, SharedStorage: shared})
			e.Decide(path, true, nil)
			d := e.Decide(path, false, func(string) bool { return true })
			r, ok := ParseRelationPath(path)
			want := Copy
			if !shared && r.Fork != InitFork {
				want = Skip // an unlogged relation, as there is an init fork
			}
			if ok && d != want {
				t.Fatalf("%q, shared storage %v: %d, want %d", path, shared, d, want)
			}
		}
	})
}
