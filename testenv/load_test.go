package testenv

import (
	"slices"
	"strings"
	"testing"
)

// TestInvalidDatabase leaves a database as an interrupted DROP DATABASE does: nobody can connect to it, and no comparison tries.
func TestInvalidDatabase(t *testing.T) {
	s := Start(t, 11, Options{})
	s.Exec("CREATE DATABASE half", "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'")
	if err := s.TryExec("half", "SELECT 1"); err == nil || !strings.Contains(err.Error(), "invalid database") {
		t.Fatalf("the server lets in: %v", err)
	}
	if slices.Contains(s.Databases(), "half") {
		t.Error("an invalid database is listed")
	}
	s.TableChecksums()
}

// TestLoadStops stops a load of DDL at many moments: no round is cancelled half way.
func TestLoadStops(t *testing.T) {
	s := Start(t, 11, Options{})
	for range 8 {
		l := s.StartDDL(1)
		l.WaitCommitted(1)
		l.Stop()
		if n := s.Value("SELECT count(*) FROM pg_database WHERE datconnlimit = -2"); n != "0" || l.Failed() > 0 {
			t.Fatalf("%s invalid databases, %d failed rounds", n, l.Failed())
		}
	}
	if strings.Contains(s.Log(), "canceling statement") {
		t.Error("a statement was cancelled")
	}
}
