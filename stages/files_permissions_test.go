package stages_test

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// grants returns the statements that docs/permissions.md names for backup mode and for reading by SQL.
func grants(t *testing.T, major int) (all []string) {
	t.Helper()
	f, err := os.Open("../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := regexp.MustCompile(`pg_(start|stop)_backup`)
	recent := regexp.MustCompile(`pg_backup_(start|stop)`)
	for sc := bufio.NewScanner(f); sc.Scan(); {
		s := sc.Text()
		if !strings.HasPrefix(s, "    GRANT EXECUTE") && !strings.HasPrefix(s, "    CREATE ROLE") {
			continue
		}
		hasOld := postgres.HasExclusiveBackup(major * 10000)
		if old.MatchString(s) && !hasOld || recent.MatchString(s) && hasOld {
			continue
		}
		all = append(all, strings.TrimSpace(s))
	}
	if len(all) != 6 {
		t.Fatalf("docs/permissions.md names %d statements for %d, want 6: %q", len(all), major, all)
	}
	return all
}

// TestFilesPermissions takes a backup by SQL with a role that has what docs/permissions.md says, and nothing else.
func TestFilesPermissions(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{11, 14, 15}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Checksums: true})
		srv.Exec("CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g")
		space := srv.Tablespace("ts1")
		srv.Exec("CREATE TABLE u TABLESPACE ts1 AS SELECT g FROM generate_series(1, 1000) g")
		_ = space
		all := grants(t, major)
		srv.Exec(all[0])
		// Without the grants the command says which are missing.
		r := newRig(t, srv, rigOptions{read: source.ReadSQL, user: "backup"})
		c, err := r.sql(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		err = source.MayRead(r.ctx, c)
		if err == nil || !strings.Contains(err.Error(), "GRANT EXECUTE ON FUNCTION pg_ls_dir(text,boolean,boolean)") {
			t.Errorf("error without grants: %v", err)
		}
		c.Close(r.ctx)
		srv.Exec(all[1:]...)
		r.spaces = append(r.spaces, mapping(space, testenv.Dir(t)+"/ts1"))
		r.writers()
		r.reader(2, nil)
		r.checkpoint()
		r.completed()
		r.verify()
		n := testenv.StartCopy(t, major, r.dir, testenv.Primary, testenv.CopyOptions{})
		testenv.SameData(t, n.TableChecksums(), srv.TableChecksums())
	})
}
