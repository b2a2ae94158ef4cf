package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"polarcast/testenv"
)

// Every major: a backup under load becomes a standby that catches up, and an independent primary; that one from a plain copy with fetched WAL or from
// archives with streamed WAL, in turn, in a soak run from both.
func TestEveryMajor(t *testing.T) {
	t.Parallel()
	testenv.EachMajor(t, func(t *testing.T, major int) {
		s := testenv.Start(t, major, testenv.Options{Checksums: true})
		s.LoadTPCB(4, 5000)
		tpcb, ddl := s.StartTPCB(2), s.StartDDL(1)
		tpcb.WaitCommitted(20)

		standby := newDir(t)
		must(t, s, "-D", standby, "-R", "-Xs", "-C", "-S", "standby1") // the slot keeps WAL for the standby
		independent := map[string]string{}
		if testenv.Soak() || major%2 == 1 {
			independent["plain"] = newDir(t)
			must(t, s, "-D", independent["plain"], "-Xf")
		}
		if testenv.Soak() || major%2 == 0 {
			independent["tar"] = newDir(t)
			must(t, s, "-D", independent["tar"], "-Ft", "-z", "-Xs")
		}
		tpcb.WaitCommitted(20)
		tpcb.Stop()
		ddl.Stop()
		verify(t, s, standby)
		clean(t, standby)
		s.NoBackupLeft("standby1")

		c := testenv.StartCopy(t, major, standby, testenv.AsIs, testenv.CopyOptions{})
		c.Streaming()
		c.CaughtUp(s)
		testenv.SameData(t, c.TableChecksums(), s.TableChecksums())
		for kind, dir := range independent {
			if kind == "plain" {
				verify(t, s, dir)
			} else {
				dir = unpack(t, dir)
			}
			p := testenv.StartCopy(t, major, dir, testenv.Primary, testenv.CopyOptions{})
			p.CheckTPCB()
			p.Integrity()
			p.Stop(testenv.Fast)
		}
	})
}

// unpack extracts the archives of a tar backup, as the documentation of pg_basebackup says.
func unpack(t testing.TB, dir string) string {
	t.Helper()
	out := testenv.Dir(t)
	if err := os.Chmod(out, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, a := range []struct{ name, into string }{{"base.tar*", out}, {"pg_wal.tar*", filepath.Join(out, "pg_wal")}} {
		found, _ := filepath.Glob(filepath.Join(dir, a.name))
		if len(found) != 1 {
			t.Fatalf("%s holds %d files %s", dir, len(found), a.name)
		}
		if b, err := exec.Command("tar", "-xf", found[0], "-C", a.into).CombinedOutput(); err != nil {
			t.Fatalf("tar -xf %s: %v\n%s", found[0], err, b)
		}
	}
	testenv.Own(t, out)
	return out
}
