package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"polarcast/testenv"
)

func TestArchivesAndDirectoriesOfOneBackupWithTablespaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "")
	space := w.pg.NewDir("space")
	w.pg.Exec("CREATE TABLESPACE far LOCATION '"+space+"'", "CREATE TABLE away (id int PRIMARY KEY) TABLESPACE far", "INSERT INTO away SELECT generate_series(1, 5000)", "CHECKPOINT")
	want := w.pg.TableChecksums("postgres")
	here := w.path("space here")
	node := w.start(w.receiveArgs("stage node", "mixed", "plain")...) // takes the mapping from the process that writes
	w.done(w.send("mixed", "--target", "plain,tar", "--tar"), w.start(w.receiveArgs("stage storage", "mixed", "plain", "-T", space+"="+here)...), node,
		w.receive("mixed", "tar", "-F", "t"))
	links, err := filepath.Glob(w.path("mixed-plain") + "/pg_tblspc/*")
	if err != nil || len(links) != 1 {
		t.Fatalf("links %v, %v", links, err)
	}
	if to, err := os.Readlink(links[0]); err != nil || to != here {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	w.same("mixed", "plain", want)

	// The archives, unpacked by hand as the documentation of pg_basebackup says.
	dir, there := w.path("unpacked"), w.path("space there")
	oid := filepath.Base(links[0])
	for archive, into := range map[string]string{"base": dir, oid: there, "pg_wal": dir + "/pg_wal"} {
		if err := os.MkdirAll(into, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("tar", "-x", "-f", w.path("mixed-tar")+"/"+archive+".tar", "-C", into).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.WriteFile(dir+"/tablespace_map", []byte(oid+" "+there+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, there} {
		if err := exec.Command("chown", "-R", "--reference="+w.dir, d).Run(); err != nil {
			t.Fatal(err)
		}
	}
	s := testenv.StartCopy(t, testMajor, dir, testenv.Primary, testenv.CopyOptions{})
	testenv.SameData(t, s.TableChecksums("postgres"), want)
	s.Stop(testenv.Immediate)
}
