package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"polarcast/testenv"
)

// TestRealPolar makes a Replica and a Standby of a real PolarDB on this host whose shared directory is a local one, and has both follow.
// POLARDB_PRIMARY is a connection string of a superuser for psql and libpq; POLARDB_PG_CTL is PolarDB's pg_ctl. The slots are dropped at the end.
func TestRealPolar(t *testing.T) {
	primary, ctl := os.Getenv("POLARDB_PRIMARY"), os.Getenv("POLARDB_PG_CTL")
	if primary == "" || ctl == "" {
		t.Skip("POLARDB_PRIMARY and POLARDB_PG_CTL are not set")
	}
	psql := func(conn, sql string) string {
		t.Helper()
		p := testenv.Run(t, testenv.ProcessOptions{}, testenv.Tool(t, "psql"), "-d", conn, "-Atqc", sql)
		return strings.TrimSpace(p.Stdout())
	}
	id, err := strconv.Atoi(psql(primary, "SHOW polar_hostid"))
	if err != nil {
		t.Fatalf("%s is no PolarDB: %v", primary, err)
	}
	psql(primary, "CREATE TABLE polarcast_test (a int)")
	t.Cleanup(func() { psql(primary, "DROP TABLE polarcast_test") })
	top := newDir(t)
	for i, kind := range []string{"replica", "standby"} {
		dir, slot, p := filepath.Join(top, kind), "polarcast_test_"+kind, port(t)
		hostID := strconv.Itoa(id + 100 + i)
		args := []string{"-d", primary, "-D", dir, "--node=" + kind, "-C", "-S", slot, "-c", "fast", "--start", "-v", "--set", "port=" + strconv.Itoa(p),
			"--set", "listen_addresses=127.0.0.1", "--set", "unix_socket_directories=" + top, "--set", "polar_hostid=" + hostID}
		if kind == "standby" {
			args = append(stream(args...), "--polardata", filepath.Join(top, "shared"))
		}
		t.Cleanup(func() {
			testenv.Run(t, testenv.ProcessOptions{}, ctl, "-D", dir, "-m", "immediate", "-W", "stop") // PolarDB 11 may take minutes
			psql(primary, "SELECT pg_drop_replication_slot('"+slot+"')")
		})
		c := testenv.Run(t, testenv.ProcessOptions{Env: []string{"POLARCAST_PG_CTL=" + ctl}}, testenv.Binary(t, "polar_basebackup"), args...)
		if c.ExitCode() != 0 {
			t.Fatalf("%s: exit status %d\n%s", kind, c.ExitCode(), c.Stderr())
		}
		psql(primary, "INSERT INTO polarcast_test VALUES (1)")
		node := "host=127.0.0.1 user=postgres dbname=postgres port=" + strconv.Itoa(p)
		want := psql(primary, "SELECT count(*) FROM polarcast_test")
		eventually(t, kind+" follows", func() bool {
			return psql(node, "SELECT count(*) || ' ' || pg_is_in_recovery() FROM polarcast_test") == want+" true"
		})
	}
}

// eventually polls until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(generous); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, generous)
		}
	}
}
