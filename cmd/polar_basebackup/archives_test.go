package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"polarcast/testenv"
)

// Archives are written from files too: by path, and by SQL.
func TestArchivesFromFiles(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{Checksums: true})
	space := s.Tablespace("aside")
	s.LoadTPCB(1, 2000)
	filler(s, 3)
	s.Exec("CREATE TABLE there TABLESPACE aside AS SELECT g, repeat('x', 50) AS v FROM generate_series(1, 3000) g")
	for read, suffix := range map[string]string{"path": ".tar.gz", "sql": ".tar"} {
		dir := newDir(t)
		args := []string{"-D", dir, "-Ft", "--source=files", "--read=" + read}
		if suffix == ".tar.gz" {
			args = append(args, "-z")
		}
		must(t, s, args...)
		clean(t, dir)
		restored(t, s, dir, suffix)
	}
	s.NoBackupLeft()
	fails(t, start(t, s, "-D", newDir(t), "--source=files", "-X", "fetch"), "the files source cannot be used with --wal-method=fetch")
	fails(t, start(t, s, "-D", "-", "-Ft", "-X", "none", "--source=files"), "the files source cannot be used with standard output")
	// Without a wish there is always a way.
	must(t, s, "-D", newDir(t), "-X", "fetch", "-T", space+"="+newDir(t))
}

// A transaction that is prepared while the server sends its files is in the archive's node as well, and its file is not: 17 would lose it.
func TestPreparedTransactionInArchives(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 17, testenv.Options{Checksums: true, Conf: "max_prepared_transactions = 5\n"})
	filler(s, 24)
	s.Exec("CREATE TABLE t (a int)", "CHECKPOINT")
	dir, out := newDir(t), testenv.Dir(t)
	p := start(t, s, slow(dir, "-Ft")...)
	begun(p)
	s.Exec("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'p'", "CHECKPOINT")
	if code := p.Wait(generous); code != 0 {
		t.Fatalf("exit status %d\n%s", code, p.Stderr())
	}
	for name, into := range map[string]string{"base.tar": out, "pg_wal.tar": filepath.Join(out, "pg_wal")} {
		if err := os.MkdirAll(into, 0o700); err != nil {
			t.Fatal(err)
		}
		if b, err := exec.Command("tar", "-xf", filepath.Join(dir, name), "-C", into).CombinedOutput(); err != nil {
			t.Fatalf("tar -xf %s: %v\n%s", name, err, b)
		}
	}
	m, err := os.ReadFile(filepath.Join(dir, "backup_manifest"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "backup_manifest"), m, 0o600); err != nil {
		t.Fatal(err)
	}
	owned(t, out)
	check(t, s, out)
	if entries, err := os.ReadDir(filepath.Join(out, "pg_twophase")); err != nil || len(entries) > 0 {
		t.Errorf("the archive has %v of pg_twophase (%v)", entries, err)
	}
	c := testenv.StartCopy(t, 17, out, testenv.Primary, testenv.CopyOptions{})
	if n := c.Value("SELECT count(*) FROM pg_prepared_xacts"); n != "1" {
		t.Errorf("%s prepared transactions, want 1", n)
	}
	c.Exec("COMMIT PREPARED 'p'")
	if n := c.Value("SELECT count(*) FROM t"); n != "3" {
		t.Errorf("%s rows after the commit, want 3", n)
	}
}
