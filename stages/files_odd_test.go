package stages_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesReplaced replaces configuration files by shorter and longer ones between the listing and the reading, as ALTER SYSTEM does during a long backup. No
// WAL repairs them: the copy has them as they are when they are read, neither cut nor filled up with zeros. By path there are links as well: one to a file is
// followed, one to a directory that is no part of the cluster is not, above all when it leads back.
func TestFilesReplaced(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{15}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{})
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		logs := srv.NewDir("logs")
		must(os.WriteFile(logs+"/postgresql.log", []byte("x"), 0o644))
		must(os.WriteFile(logs+"/extra.conf", []byte("work_mem = '5MB'\n"), 0o644))
		must(os.Symlink(logs, srv.Path("log")))
		must(os.Symlink(".", srv.Path("loop")))
		must(os.Symlink("itself", srv.Path("itself")))
		must(os.Symlink(logs+"/extra.conf", srv.Path("extra.conf")))
		for _, read := range []string{source.ReadPath, source.ReadSQL} {
			if read == source.ReadSQL { // the server's functions follow links, and do not tell
				must(os.Remove(srv.Path("loop")))
				must(os.Remove(srv.Path("itself")))
			}
			srv.Exec("ALTER SYSTEM SET work_mem = '7MB'", "ALTER SYSTEM SET maintenance_work_mem = '77MB'")
			r := newRig(t, srv, rigOptions{read: read, adjust: func(q *messages.Requested) { q.Slot, q.OwnSlot = "pc_"+read, true }})
			r.writers()
			r.checkpoint()
			r.wait("the listing", func(st pipeline.State) bool { return len(st.Sessions) > 0 })
			srv.Exec("ALTER SYSTEM RESET work_mem", "ALTER SYSTEM RESET maintenance_work_mem")
			f, err := os.OpenFile(srv.Path("pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
			must(err)
			_, err = f.WriteString(strings.Repeat("# a line that was added while the backup ran\n", 10))
			must(err)
			must(f.Close())
			r.reader(2, nil)
			r.completed()
			for _, name := range []string{"postgresql.auto.conf", "pg_hba.conf", "extra.conf"} {
				want, err := os.ReadFile(srv.Path(name))
				must(err)
				got, err := os.ReadFile(r.dir + "/" + name)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("by %s: %s has %d bytes %q, want %d (%v)", read, name, len(got), got[max(0, len(got)-50):], len(want), err)
				}
			}
			for _, name := range []string{"loop", "log", "itself"} {
				if read == source.ReadPath && exists(r.dir+"/"+name) {
					t.Errorf("%s is in the copy", name)
				}
			}
			r.verify()
		}
	})
}
