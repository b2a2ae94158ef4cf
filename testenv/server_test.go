package testenv

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestEveryMajorStartsAndComesBackAfterAKill(t *testing.T) {
	EachMajor(t, func(t *testing.T, major int) {
		s := Start(t, major, Options{Checksums: true, WALSegMB: 1, GroupAccess: true})
		s.Tablespace("far away")
		s.Exec(`CREATE TABLE t (i int) TABLESPACE "far away"`, "INSERT INTO t SELECT generate_series(1, 1000)", "CHECKPOINT")
		for setting, want := range map[string]string{"data_checksums": "on", "wal_segment_size": "1MB", "data_directory_mode": "0750", "wal_level": "replica"} {
			if got := s.Value("SHOW " + setting); got != want {
				t.Errorf("%s = %s, want %s", setting, got, want)
			}
		}
		if got := s.Value("SELECT current_setting('server_version_num')::int / 10000"); got != strconv.Itoa(major) {
			t.Errorf("a server of major %s, want %d", got, major)
		}
		s.Exec("INSERT INTO t SELECT generate_series(1, 1000)")
		s.Kill()
		if s.Running() {
			t.Fatal("the server runs after Kill")
		}
		s.Start()
		if got := s.Value("SELECT count(*) FROM t"); got != "2000" {
			t.Errorf("%s rows after a crash, want 2000", got)
		}
		s.Restart(Fast)
	})
}

func TestTLS(t *testing.T) {
	s := Start(t, 15, Options{})
	root := s.EnableTLS()
	conn, err := pgx.Connect(context.Background(), strings.Replace(s.ConnString(), "sslmode=disable", "sslmode=verify-full sslrootcert="+root, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var on bool
	if err := conn.QueryRow(context.Background(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&on); err != nil || !on {
		t.Errorf("TLS is %v, %v", on, err)
	}
}
