package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stitchedCopy makes a data directory whose files were read from the redo position of a checkpoint on, with no backup session around them at the
// end: what a stitched backup looks like. Half of the files are copied before the load, half after it.
func stitchedCopy(t *testing.T, c *cluster, dir string) (end LSN) {
	c.sql("CHECKPOINT")
	ctl, err := ReadControl(t.Context(), readFrom(filepath.Join(c.dir, ControlFilePath)))
	if err != nil {
		t.Fatal(err)
	}
	label := StitchedLabel(ctl.Redo, ctl.Checkpoint, ctl.Timeline, int64(ctl.WALSegmentSize), "2026-11-22 18:00:00 UTC", "two sessions")
	excluded := "--exclude=./postmaster.* --exclude=./pg_wal/0*"
	c.run("/bin/sh", "-c", "mkdir -m 700 "+dir+" && cd "+c.dir+" && tar cf - "+excluded+" . | tar xf - -C "+dir)
	c.sql("INSERT INTO t SELECT g, repeat('y', 100) FROM generate_series(5001, 9000) g", "UPDATE t SET s = 'z' WHERE i % 3 = 0", "VACUUM t", "CHECKPOINT",
		"BEGIN; INSERT INTO t VALUES (-1, 'p'); PREPARE TRANSACTION 'late'", "CHECKPOINT")
	c.run("/bin/sh", "-c", "cd "+c.dir+" && tar cf - "+excluded+" base pg_xact pg_twophase | tar xf - -C "+dir)
	if end, err = ParseLSN(c.sql("SELECT pg_create_restore_point('end')")); err != nil {
		t.Fatal(err)
	}
	c.sql("SELECT pg_logical_emit_message(true, 'flush', '')") // a commit flushes the restore point too
	files, _ := os.ReadDir(filepath.Join(dir, "pg_twophase"))
	for _, f := range files {
		if FutureTwoPhase(f.Name(), ctl.NextXID) {
			os.Remove(filepath.Join(dir, "pg_twophase", f.Name()))
		}
	}
	now, err := ReadControl(t.Context(), readFrom(filepath.Join(c.dir, ControlFilePath)))
	if err != nil {
		t.Fatal(err)
	}
	now.RequireRecoveryTo(end, now.Timeline)
	copied := &cluster{t: t, dir: dir}
	copied.write(ControlFilePath, now.Bytes())
	copied.write(BackupLabelFile, label.Bytes())
	c.run("/bin/sh", "-c", "cp "+c.dir+"/pg_wal/0* "+dir+"/pg_wal/")
	r, err := NewWALReader(WALDirectory{filepath.Join(dir, "pg_wal"), 1, 1 << 20}, 1<<20, label.StartLSN, end)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var w WALWindow
	if err := w.Scan(t.Context(), r, nil); err != nil || len(w.Findings) > 0 || w.End != end {
		t.Fatalf("the window does not allow it: %+v, %v", w, err)
	}
	return end
}

func readFrom(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return os.ReadFile(path) }
}

// A server must start from an edited control file and label, hold all rows and the prepared transaction, and refuse when log is missing.
func TestStitchedControlAndLabelStartAServer(t *testing.T) {
	c := initCluster(t, "--wal-segsize=1")
	c.start("max_prepared_transactions=5", "wal_keep_size=1GB")
	c.sql("CREATE TABLE t (i int PRIMARY KEY, s text)", "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g")
	dir := filepath.Join(c.socket, "copy")
	end := stitchedCopy(t, c, dir)
	const question = "SELECT count(*), count(*) FILTER (WHERE s = 'z'), sum(i), (SELECT string_agg(gid, ',') FROM pg_prepared_xacts) FROM t"
	want := c.sql(question)
	c.stop("immediate")

	short := &cluster{t: t, dir: filepath.Join(c.socket, "short"), socket: c.socket, port: c.port}
	c.run("/bin/cp", "-a", dir, short.dir)
	if err := os.Remove(filepath.Join(short.dir, "pg_wal", SegmentName(1, end-1, 1<<20))); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(c.socket, "short.log")
	if out, err := c.command(filepath.Join(postgresBin(t), "pg_ctl"), "-D", short.dir, "-w", "-s", "-l", log, "-o", "-c listen_addresses= -c max_prepared_transactions=5 -c unix_socket_directories="+c.socket+" -c port="+c.port, "start").CombinedOutput(); err == nil {
		short.started = true
		short.stop("immediate")
		t.Errorf("it started although log is missing: %s", out)
	}
	if text, _ := os.ReadFile(log); !strings.Contains(string(text), "WAL ends before") {
		t.Errorf("the server's reason is another one:\n%s", text)
	}

	copied := &cluster{t: t, dir: dir, socket: c.socket, port: c.port}
	copied.start("max_prepared_transactions=5")
	if got := copied.sql(question); got != want {
		t.Errorf("the copy holds %s, the original %s", got, want)
	}
	copied.stop("fast")
	copied.run(filepath.Join(postgresBin(t), "pg_checksums"), "-D", dir)
}
