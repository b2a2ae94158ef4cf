package main_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	manifest "polarcast/internal/verify"
	"polarcast/testenv"
)

// outdated makes a copy of a server in dir, lets it become a primary of its own that writes, and lets the server write something else.
func outdated(t *testing.T, s *testenv.Server, dir string, more ...string) {
	t.Helper()
	must(t, s, append(stream("-D", dir), more...)...)
	c := testenv.StartCopy(t, s.Major, dir, testenv.Primary, testenv.CopyOptions{})
	c.Exec("CREATE TABLE other AS SELECT g, repeat('other', 50) AS v FROM generate_series(1, 20000) g", "UPDATE filler SET v = 'other' WHERE id < 100", "CHECKPOINT",
		"UPDATE filler SET v = 'later' WHERE id > 100 AND id < 200")
	c.Stop(testenv.Immediate)
	s.Exec("UPDATE filler SET v = 'new' WHERE id > 1000 AND id < 1100", "CREATE TABLE fresh AS SELECT g FROM generate_series(1, 1000) g", "CHECKPOINT")
}

// own gives a path to the user that the program runs as.
func own(t *testing.T, path string) {
	t.Helper()
	testenv.Own(t, path)
}

// A former primary went its own way. It becomes a standby again, and only what differs is sent and written.
func TestDeltaRebuildsADivergedServer(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{Checksums: true, Conf: "wal_keep_size = 256MB\n"})
	filler(s, 48)
	s.Exec("CREATE TABLE gone AS SELECT g FROM generate_series(1, 1000) g", "VACUUM FREEZE", "CHECKPOINT")
	for _, source := range []string{"stream", "files"} {
		t.Run(source, func(t *testing.T) {
			dir, file := newDir(t), filepath.Join(testenv.Dir(t), "report.json")
			outdated(t, s, dir)
			s.Exec("DROP TABLE fresh")
			outside := filepath.Join(testenv.Dir(t), "outside")
			for name, text := range map[string]string{outside: "mine", dir + "/junk": "x", dir + "/extra/deep/file": "x", dir + "/base/999/1": "x", dir + "/backup_label.old": "x",
				dir + "/recovery.signal": "", dir + "/pg_replslot/left/state": "x", dir + "/pg_stat_tmp/x": "x", dir + "/pg_wal/archive_status/000000010000000000000001.ready": ""} {
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			// A link and a second name lead out of the copy: what they lead to must not be written.
			if err := os.Rename(dir+"/pg_hba.conf", outside+".hba"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside+".hba", dir+"/pg_hba.conf"); err != nil {
				t.Fatal(err)
			}
			conf, err := os.ReadFile(dir + "/postgresql.conf")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/postgresql.conf", append(conf, "# old\n"...), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(dir+"/postgresql.conf", outside+".conf"); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(outside + ".hba")
			if err != nil {
				t.Fatal(err)
			}
			// A file where the server has a directory, and the other way round.
			for _, name := range []string{"pg_multixact", "pg_ident.conf"} {
				if err := os.RemoveAll(dir + "/" + name); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.WriteFile(dir+"/pg_multixact", []byte("x"), 0o600), os.Mkdir(dir+"/pg_ident.conf", 0o700),
				os.WriteFile(dir+"/pg_ident.conf/deep", []byte("x"), 0o600), os.Chmod(dir, 0o755)); err != nil {
				t.Fatal(err)
			}
			own(t, dir)
			must(t, s, "--source="+source, "-D", dir, "--delta", "-R", "--report", file)
			r := report(t, file)
			t.Logf("%d bytes read, %d unchanged, %d written with %d of WAL", r.BytesRead, r.BytesUnchanged, r.BytesWritten, r.WALBytes)
			if r.BytesUnchanged < r.BytesRead*6/10 || r.BytesWritten-r.WALBytes > r.BytesRead/4 {
				t.Errorf("of %d bytes that were read %d were found unchanged, and %d were written", r.BytesRead, r.BytesUnchanged, r.BytesWritten-r.WALBytes)
			}
			check(t, s, dir)
			for _, name := range []string{"junk", "extra", "base/999", "backup_label.old", "recovery.signal", "pg_replslot/left", "pg_stat_tmp/x"} {
				if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
					t.Errorf("%s is still there (%v)", name, err)
				}
			}
			modes(t, dir, 0o600, 0o700)
			if after, err := os.ReadFile(outside + ".hba"); err != nil || string(after) != string(before) {
				t.Errorf("the file that a link led to was changed (%v)", err)
			}
			if text, err := os.ReadFile(outside + ".conf"); err != nil || !strings.HasSuffix(string(text), "# old\n") {
				t.Errorf("the second name of a file was written to (%v)", err)
			}
			if info, err := os.Lstat(dir + "/pg_hba.conf"); err != nil || !info.Mode().IsRegular() {
				t.Errorf("pg_hba.conf is %v (%v)", info.Mode(), err)
			}
			c := testenv.StartCopy(t, 15, dir, testenv.Standby, testenv.CopyOptions{Primary: s})
			c.CaughtUp(s)
			testenv.SameData(t, c.TableChecksums(), s.TableChecksums())
			c.Stop(testenv.Fast)
		})
	}
}

// The run is killed again and again; in between no server starts, and the same command goes on.
func TestDeltaKilled(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{Conf: "wal_keep_size = 256MB\n"})
	filler(s, 32)
	s.Exec("VACUUM FREEZE", "CHECKPOINT")
	dir, file := newDir(t), filepath.Join(testenv.Dir(t), "report.json")
	outdated(t, s, dir)
	s.Exec("UPDATE filler SET v = v || 'x' WHERE id % 3 = 0", "CHECKPOINT")
	own(t, dir)
	args := []string{"-D", dir, "--delta", "--report", file, "-v"}
	if err := os.WriteFile(dir+"/junk", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, dir)
	kills := 0
	for i, source := range []string{"stream", "stream", "stream", "files", "files"} {
		more := append(args, "--source="+source, "-r", "8M")
		if i == 3 { // other options: what the interrupted run left is an old copy for this one
			p := start(t, s, more...)
			p.WaitOutput("cannot be continued")
			p.KillOnly()
			p.Wait(generous)
			continue
		}
		p := start(t, s, more...)
		time.Sleep(time.Duration(150+i*450) * time.Millisecond)
		p.KillOnly()
		if p.Wait(generous) != 0 {
			kills++
		}
		if complete(dir) && marked(dir) {
			t.Fatalf("after kill %d global/pg_control is there", i)
		}
	}
	must(t, s, append(args, "--source=files")...)
	r := report(t, file)
	t.Logf("killed %d times; session %d: %d bytes read, %d unchanged, %d written", kills, r.Session, r.BytesRead, r.BytesUnchanged, r.BytesWritten)
	check(t, s, dir)
	if _, err := os.Stat(dir + "/junk"); !os.IsNotExist(err) {
		t.Errorf("junk is still there (%v)", err)
	}
	same(t, s, dir, testenv.CopyOptions{})
}

// marked reports whether a directory is still that of a backup under way.
func marked(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ".polarcast", "backup"))
	return err == nil
}

// Tablespaces stay where they are; one that was dropped is emptied, one that is new gets its place.
func TestDeltaTablespaces(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 2)
	a, b := s.Tablespace("a"), s.Tablespace("b")
	s.Exec("CREATE TABLE ta TABLESPACE a AS SELECT g FROM generate_series(1, 50000) g", "CREATE TABLE tb TABLESPACE b AS SELECT g FROM generate_series(1, 50000) g",
		"VACUUM FREEZE", "CHECKPOINT")
	dir, toA, toB, toC := newDir(t), newDir(t), newDir(t), newDir(t)
	// Two in one directory would be one.
	fails(t, start(t, s, "-D", dir, "-T", a+"="+toA, "-T", b+"="+toA), "cannot be put into directory \""+toA+"\"", "removing data directory")
	untouched(t, dir, false)
	untouched(t, toA, false)
	outdated(t, s, dir, "-T", a+"="+toA, "-T", b+"="+toB)
	s.Exec("DROP TABLE tb", "DROP TABLESPACE b")
	c := s.Tablespace("c")
	s.Exec("CREATE TABLE tc TABLESPACE c AS SELECT g FROM generate_series(1, 1000) g", "UPDATE ta SET g = g WHERE g < 10")
	for _, d := range []string{dir, toA, toB} {
		own(t, d)
	}
	if err := os.WriteFile(toB+"/mine", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A tablespace somewhere else than the copy's is refused, and the copy stays as it was.
	text := fails(t, start(t, s, "-D", dir, "--delta", "-T", a+"="+toC, "-T", c+"="+newDir(t)), "its tablespace", "--tablespace-mapping")
	if !strings.Contains(text, "is as it was before") || !complete(dir) || marked(dir) {
		t.Errorf("the refused copy was not given back:\n%s", text)
	}
	must(t, s, "-D", dir, "--delta", "-T", a+"="+toA, "-T", c+"="+toC)
	check(t, s, dir)
	if entries, err := os.ReadDir(toB); err != nil || len(entries) != 1 {
		t.Errorf("the dropped tablespace's directory holds %v (%v)", entries, err)
	}
	same(t, s, dir, testenv.CopyOptions{})
}

// A tablespace may have its place in the data directory, of the source and of the copy: it is read and written once, and stays.
func TestTablespaceInTheDataDirectory(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	inside := s.Path("inside")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	testenv.Own(t, inside)
	s.Exec("CREATE TABLESPACE ins LOCATION '"+inside+"'", "CREATE TABLE ti TABLESPACE ins AS SELECT g FROM generate_series(1, 50000) g", "VACUUM FREEZE", "CHECKPOINT")
	count := func(dir string) (n int) {
		_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				n++
			}
			return nil
		})
		return n
	}
	for _, how := range [][]string{{"--source=stream"}, {"--source=files", "--read=path"}, {"--source=files", "--read=sql"}} {
		dir := newDir(t)
		mapped := append([]string{"-D", dir, "-T", inside + "=" + dir + "/mine/ins"}, how...)
		must(t, s, mapped...)
		if n := count(filepath.Join(dir, "inside")); n != 0 {
			t.Errorf("%v: %d files of the tablespace were copied a second time", how, n)
		}
		s.Exec("UPDATE ti SET g = g WHERE g % 100 = 0")
		if how[0] == "--source=stream" {
			mapped = mapped[:4]
		}
		want := count(dir + "/mine/ins")
		must(t, s, append(mapped, "--delta")...)
		if n := count(dir + "/mine/ins"); n != want || n == 0 {
			t.Errorf("%v: the tablespace has %d files, it had %d before it was brought up to date", how, n, want)
		}
		if rep, err := manifest.Run(t.Context(), manifest.Options{Dir: dir}); err != nil || !rep.OK {
			t.Errorf("%v: %v: %+v", how, err, rep)
		}
		same(t, s, dir, testenv.CopyOptions{})
	}
}

// What is no old copy of this cluster, or is in use, is refused and not touched.
func TestDeltaRefusals(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 1)
	other := testenv.Start(t, 15, testenv.Options{})
	other.Stop(testenv.Fast)
	fails(t, start(t, s, "-D", other.Data, "--delta"), "system identifier")
	if !complete(other.Data) || marked(other.Data) {
		t.Error("the other cluster was changed")
	}
	plain := newDir(t)
	if err := os.MkdirAll(plain, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain+"/mine", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, plain)
	fails(t, start(t, s, "-D", plain, "--delta"), "no PostgreSQL data directory")
	fails(t, start(t, s, "-D", s.Data, "--delta"), "a server is running in it")
	if !complete(s.Data) || marked(s.Data) {
		t.Error("the running server's directory was changed")
	}
	dir := newDir(t)
	must(t, s, "-D", dir)
	fails(t, start(t, s, "-D", dir), "exists but is not empty")
	// Nothing was changed yet when the run fails: the copy can be used as it was.
	fails(t, start(t, s, "-D", dir, "--delta", "--waldir", newDir(t)), "leave out --waldir", "is as it was before")
	if !complete(dir) || marked(dir) {
		t.Error("the copy was not given back")
	}
	// The number of a process that is gone is that of another one now.
	if err := os.WriteFile(dir+"/postmaster.pid", []byte("1\n"+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, dir)
	p := start(t, s, "-D", dir, "--delta")
	if code := p.Wait(generous); code != 0 && !strings.Contains(p.Stderr(), "if that is no server, remove") {
		t.Errorf("exit status %d\n%s", code, p.Stderr())
	}
	// An empty directory is as without --delta.
	fresh := newDir(t)
	must(t, s, "-D", fresh, "--delta")
	check(t, s, fresh)
	same(t, s, fresh, testenv.CopyOptions{})
}
