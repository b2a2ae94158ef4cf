package source_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/messages"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestDirectoriesOfSettings leaves out the directories that the settings of old servers name, if the role may see them.
func TestDirectoriesOfSettings(t *testing.T) {
	testenv.SomeMajors(t, []int{11}, func(t *testing.T, major int) {
		if major >= 15 {
			t.Skip("nothing is left out by a setting")
		}
		srv := testenv.Start(t, major, testenv.Options{})
		for _, name := range []string{"logs here", "statistics"} {
			if err := os.Mkdir(srv.Path(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(srv.Path(name, "x"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		testenv.Own(t, srv.Data)
		srv.Exec("CREATE ROLE backup LOGIN", "ALTER SYSTEM SET log_directory = 'logs here'", "ALTER SYSTEM SET stats_temp_directory = '"+srv.Path("statistics")+"'", "SELECT pg_reload_conf()")
		srv.Eventually("the settings are in force", func() (bool, error) {
			return srv.Value("SELECT current_setting('log_directory') || pg_sleep(0.1)") == "logs here" && strings.HasSuffix(srv.Value("SHOW stats_temp_directory"), "statistics"), nil
		})
		for _, c := range []struct {
			user        string
			polar       bool
			logs, stats bool
		}{{"postgres", true, false, false}, {"postgres", false, true, false}, {"backup", true, true, true}} {
			p := &messages.Prepared{ServerVersion: major * 10000}
			if c.polar {
				p.Polar = &messages.Polar{}
			}
			r, err := source.Options{Read: source.ReadPath, Dir: srv.Data, Connect: func(ctx context.Context) (*pgconn.PgConn, error) {
				return pgconn.Connect(ctx, srv.ConnString()+" user="+c.user)
			}}.Open(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			all := list(t, r)
			_, logs := all["logs here/x"]
			_, stats := all["statistics/x"]
			if _, kept := all["statistics"]; logs != c.logs || stats != c.stats || !kept {
				t.Errorf("%+v: logs %v, statistics %v, their directory %v", c, logs, stats, kept)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
