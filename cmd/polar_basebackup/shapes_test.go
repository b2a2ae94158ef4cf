package main_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/testenv"
)

// Data of every shape, with tablespaces that go elsewhere and WAL in a directory of its own: the copy holds the same.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		major int
		opts  testenv.Options
	}{
		{"1MB segments, group access", 15, testenv.Options{WALSegMB: 1, GroupAccess: true, Checksums: true}},
		{"64MB segments", 18, testenv.Options{WALSegMB: 64}},
		{"oldest", 11, testenv.Options{Checksums: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opts.Conf += "max_locks_per_transaction = 256\n"
			if c.major >= 15 {
				c.opts.Conf += "allow_in_place_tablespaces = on\n"
			}
			s := testenv.Start(t, c.major, c.opts)
			spaces := zoo(t, s)
			dir, wal := newDir(t), newDir(t)
			to := map[string]string{}
			args := []string{"-D", dir, "--waldir", wal}
			for _, from := range spaces {
				to[from] = filepath.Join(testenv.Dir(t), filepath.Base(from)+"=copy")
				args = append(args, "-T", escaped(from)+"="+escaped(to[from]))
			}
			must(t, s, stream(args...)...)
			s.NoBackupLeft()
			check(t, s, dir)
			file, directory := os.FileMode(0o600), os.FileMode(0o700)
			if c.opts.GroupAccess {
				file, directory = 0o640, 0o750
			}
			for _, d := range append([]string{dir, wal}, values(to)...) {
				modes(t, d, file, directory)
			}
			if link, err := os.Readlink(filepath.Join(dir, "pg_wal")); err != nil || link != wal {
				t.Errorf("pg_wal leads to %q (%v), want %s", link, err, wal)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "имя=ü.txt")); err != nil || string(b) != "kept" {
				t.Errorf("the odd file holds %q (%v)", b, err)
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "base", "*", "t[0-9]*_*")); len(found) > 0 {
				t.Errorf("temporary tables were copied: %v", found)
			}
			for _, table := range []string{"swift", "swift_there"} {
				fork := filepath.Join(dir, s.Value("SELECT pg_relation_filepath('"+table+"')"))
				if _, err := os.Stat(fork); !os.IsNotExist(err) {
					t.Errorf("the rows of an unlogged table were copied: %s (%v)", fork, err)
				}
				if _, err := os.Stat(fork + "_init"); err != nil {
					t.Error(err)
				}
				s.Exec("TRUNCATE " + table) // it is empty in the copy
			}
			same(t, s, dir, testenv.CopyOptions{WALDir: wal})
		})
	}
}

// zoo fills a server with one of everything, and returns the directories of its tablespaces.
func zoo(t *testing.T, s *testenv.Server) []string {
	spaces := []string{s.NewDir("space one"), s.NewDir("räum=zwei")}
	s.Exec("CREATE TABLESPACE one LOCATION '" + spaces[0] + "'")
	s.Exec("CREATE TABLESPACE two LOCATION '" + spaces[1] + "'")
	s.Exec("CREATE DATABASE \"in zwei\" TEMPLATE template0 TABLESPACE two")
	s.ExecIn("in zwei", "CREATE TABLE \"größe=日本\" AS SELECT g FROM generate_series(1, 1000) g")
	s.Exec("CREATE TABLE \"tabellé\" TABLESPACE one AS SELECT g, repeat('ü', 100) FROM generate_series(1, 20000) g",
		"CREATE INDEX ON \"tabellé\" (g) TABLESPACE two",
		"CREATE UNLOGGED TABLE swift AS SELECT g FROM generate_series(1, 1000) g",
		"CREATE UNLOGGED TABLE swift_there TABLESPACE one AS SELECT g FROM generate_series(1, 1000) g",
		"CREATE TABLE empty (i int)")
	if s.Major >= 15 {
		s.Exec("CREATE TABLESPACE here LOCATION ''")
		s.Exec("CREATE TABLE inside TABLESPACE here AS SELECT g FROM generate_series(1, 5000) g")
	}
	n := 100
	switch {
	case soak():
		n = 20000
	case s.Major == 15:
		n = 2000
	}
	files(s, n)
	if soak() { // more than one segment of 1 GB
		s.Exec("CREATE TABLE huge AS SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 1150000) g")
	}
	temp := s.Conn("postgres") // keeps its tables until the test ends
	if _, err := temp.Exec(context.Background(), "CREATE TEMP TABLE gone AS SELECT g FROM generate_series(1, 1000) g"); err != nil {
		t.Fatal(err)
	}
	odd := s.Path("имя=ü.txt")
	mode := os.FileMode(0o600)
	if s.Value("SHOW data_directory_mode") == "0750" {
		mode = 0o640
	}
	if err := os.WriteFile(odd, []byte("kept"), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(odd, mode); err != nil {
		t.Fatal(err)
	}
	testenv.Own(t, odd)
	return spaces
}

// escaped is a directory as -T wants it.
func escaped(dir string) string { return strings.ReplaceAll(dir, "=", "\\=") }

func values(m map[string]string) (v []string) {
	for _, x := range m {
		v = append(v, x)
	}
	return v
}

// Databases and tablespaces come and go while the copy runs.
func TestDatabasesComeAndGo(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 16)
	s.Exec("CREATE DATABASE old TEMPLATE template0")
	s.ExecIn("old", "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g")
	dir := newDir(t)
	p := start(t, s, slow(dir)...)
	begun(p)
	s.Exec("DROP DATABASE old")
	s.Exec("CREATE DATABASE new TEMPLATE template0")
	s.ExecIn("new", "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g")
	if p.Ended() {
		t.Fatal("the copy was over too soon to test anything")
	}
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("exit status %d\n%s", code, p.Stderr())
	}
	check(t, s, dir)
	same(t, s, dir, testenv.CopyOptions{})
}
