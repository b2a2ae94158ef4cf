package stages_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/pipeline"
	"polarcast/testenv"
)

// sameBig compares the large tables; a table that cannot be read is not the same.
func sameBig(t *testing.T, got, want *testenv.Server) bool {
	t.Helper()
	for _, name := range []string{"big", "big1", "big2", "big3", "late"} {
		sql := "SELECT md5(string_agg(b, '' ORDER BY a)) FROM " + name
		a, err := got.TryValue("postgres", sql)
		if err != nil || a != want.Value(sql) {
			return false
		}
	}
	return true
}

// segment is the size of a WAL segment of the tests' servers, in bytes.
const segment = 16 << 20

// lastStart finds the start point of the last of the joined sessions in the WAL of a copy: that of the last record which ends a backup, and the
// checkpoint that belongs to it.
func lastStart(t *testing.T, dir string, cur *pipeline.SessionState) (redo, checkpoint postgres.LSN) {
	t.Helper()
	r, err := postgres.NewWALReader(postgres.WALDirectory{Path: filepath.Join(dir, "pg_wal"), Timeline: cur.Started.Timeline, SegmentSize: segment}, segment,
		postgres.LSN(cur.Started.Redo), postgres.LSN(cur.ReadDone.EndLSN))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := map[postgres.LSN]postgres.LSN{}
	var rec postgres.WALRecord
	for {
		err := r.Next(&rec)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch rec.Kind() {
		case postgres.WALOnlineCheckpoint:
			c, err := rec.Checkpoint()
			if err != nil {
				t.Fatal(err)
			}
			at[c.Redo] = rec.LSN
		case postgres.WALBackupEnd:
			if redo, err = rec.BackupStart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if redo == 0 || at[redo] == 0 || redo == postgres.LSN(cur.Started.Redo) {
		t.Fatalf("the last session begins at %s, its checkpoint is at %s, the first session began at %s", redo, at[redo], postgres.LSN(cur.Started.Redo))
	}
	return redo, at[redo]
}

// clone copies a backup that no server was started from, with its tablespaces.
func clone(t *testing.T, dir string) string {
	t.Helper()
	copyDir := func(from, to string) {
		t.Helper()
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(to, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(testenv.Dir(t), "clone")
	copyDir(dir, to)
	links, _ := filepath.Glob(filepath.Join(to, "pg_tblspc", "*"))
	for _, link := range links {
		from, err := filepath.EvalSymlinks(link)
		if err != nil {
			t.Fatal(err)
		}
		space := filepath.Join(testenv.Dir(t), "space")
		copyDir(from, space)
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(space, link); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// naiveCopy makes what a backup would be that joins the files of both sessions and begins at the last one.
func naiveCopy(t *testing.T, dir string, cur *pipeline.SessionState) string {
	t.Helper()
	to := clone(t, dir)
	b, err := os.ReadFile(filepath.Join(to, "backup_label"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := postgres.ParseBackupLabel(b)
	if err != nil {
		t.Fatal(err)
	}
	if l.From != postgres.FromStandby {
		t.Errorf("the stitched label says %q", b)
	}
	redo, checkpoint := lastStart(t, dir, cur)
	l = postgres.StitchedLabel(redo, checkpoint, l.StartTimeline, segment, l.StartTime, l.Label)
	l.From = postgres.FromPrimary
	if err := os.WriteFile(filepath.Join(to, "backup_label"), l.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(to, "global/pg_control")
	b, err = os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := postgres.ParseControl(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != postgres.DBInArchiveRecovery || c.MinRecoveryPoint == 0 {
		t.Errorf("the stitched control file has state %s and minimum recovery point %s", c.State, c.MinRecoveryPoint)
	}
	c.State, c.MinRecoveryPoint, c.MinRecoveryTimeline = postgres.DBInProduction, 0, 0
	if err := os.WriteFile(name, c.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// opens starts a server that may be corrupt and reports whether it lets anybody in. A corrupt catalog refuses everybody for ever.
func opens(n *testenv.Server) bool {
	done := make(chan error, 1)
	go func() { done <- n.TryStart() }()
	for {
		select {
		case err := <-done:
			return err == nil
		case <-time.After(50 * time.Millisecond):
		}
		log, _ := os.ReadFile(n.LogFile)
		if strings.Contains(string(log), "FATAL:  invalid page") || strings.Contains(string(log), "FATAL:  could not read") || strings.Contains(string(log), "FATAL:  could not open") {
			n.Stop(testenv.Immediate)
			<-done
			return false
		}
	}
}

// follows waits until a standby that may be corrupt has replayed all that the source had, and reports whether it did and lets anybody ask. Which
// catalogs the first session left stale depends on the load: now and then the server answers each
// connection with, for instance, "cache lookup failed for relation 1247".
func follows(t *testing.T, n, source *testenv.Server) bool {
	t.Helper()
	want := source.Value("SELECT pg_current_wal_flush_lsn()")
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		v, err := n.TryValue("postgres", "SELECT coalesce(pg_last_wal_replay_lsn() >= '"+want+"', false)")
		var refused *pgconn.PgError
		switch {
		case v == "true":
			return true
		case errors.As(err, &refused) && strings.HasPrefix(refused.Code, cannotBe):
			t.Logf("the naive node is seen to be corrupt: %v", err)
			n.Stop(testenv.Immediate)
			return false
		case time.Now().After(deadline):
			t.Fatalf("the naive node neither replayed up to %s nor said that it is corrupt: %q, %v", want, v, err)
		}
	}
}

// cannotBe begins the SQLSTATEs of what cannot be in a sound database: internal error, data or index corrupted.
const cannotBe = "XX"
