package polardouble

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"polarcast/testenv"
)

// command asks for a backup with everything in it, in the words of a major.
func command(major int) string {
	if major == 11 {
		return "BASE_BACKUP LABEL 'it''s WAL' PROGRESS FAST WAL NOWAIT"
	}
	return "BASE_BACKUP ( LABEL 'it''s WAL',  PROGRESS,  CHECKPOINT 'fast',  WAL, WAIT 0,  MANIFEST 'yes',  TARGET 'client')"
}

// TestDouble runs all checks of one major before one real server: starting one takes longer than most of them.
func TestDouble(t *testing.T) {
	for _, major := range []int{11, 15} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			s := testenv.Start(t, major, testenv.Options{Checksums: true})
			t.Run("settings", func(t *testing.T) { checkSettings(t, s) })
			t.Run("shape", func(t *testing.T) { checkShape(t, s) })
			soak := testenv.Soak()
			if major == 15 {
				t.Run("faults", func(t *testing.T) { checkFaults(t, s) })
			}
			if major == 15 || soak {
				t.Run("PFS", func(t *testing.T) { checkPFS(t, s) })
			}
			if major == 15 && soak {
				t.Run("tool", func(t *testing.T) { checkTool(t, s) })
			}
			if major == 11 || soak {
				t.Run("tablespaces", func(t *testing.T) { checkTablespaces(t, s) })
			}
		})
	}
}

// checkSettings: settings are shown, and the rest is passed through.
func checkSettings(t *testing.T, s *testenv.Server) {
	d := Start(t, s, Options{PFS: true})
	conn := replication(t, d)
	if got := conn.ParameterStatus("server_version"); got != d.serverVersion() {
		t.Errorf("server_version %s", got)
	}
	for name, want := range map[string]string{"polar_datadir": "/nvme1n1/shared_data/", "polar_enable_shared_storage_mode": "on",
		"POLAR_HOSTID": "1", "polar_disk_name": "nvme1n1", "wal_segment_size": "16MB"} {
		r, err := conn.Exec(context.Background(), "SHOW "+name).ReadAll()
		if err != nil || len(r) != 1 || string(r[0].Rows[0][0]) != want {
			t.Errorf("SHOW %s: %v, %v", name, r, err)
		}
	}
	if _, err := conn.Exec(context.Background(), "SHOW polar_nothing").ReadAll(); err == nil {
		t.Error("an unknown setting has a value")
	}
	r, err := conn.Exec(context.Background(), "IDENTIFY_SYSTEM").ReadAll()
	if err != nil || len(r[0].Rows[0]) != 4 {
		t.Errorf("IDENTIFY_SYSTEM: %v, %v", r, err)
	}
	if got := d.Commands(); got[len(got)-1] != "IDENTIFY_SYSTEM" {
		t.Errorf("commands %v", got)
	}
}

// checkShape: a backup has PolarDB's shape, and starts when its trees are merged.
func checkShape(t *testing.T, s *testenv.Server) {
	major := s.Major
	s.LoadTPCB(1, 1000)
	load := s.StartTPCB(1)
	load.WaitCommitted(10)
	d := Start(t, s, Options{})
	b, err := take(t, d, command(major))
	load.Stop()
	if err != nil || b.err != nil {
		t.Fatal(err, b.err)
	}
	if len(b.rows) != 2 || b.rows[0][0] != "-" || b.rows[0][3] != "-" || b.rows[1][0] != "-" || b.rows[1][3] != "1" || b.rows[1][2] == "-" {
		t.Errorf("header %v", b.rows)
	}
	local, shared := members(t, b.archives[0]), members(t, b.archives[1])
	if local[0] != "backup_label" || slices.Contains(local, "global/pg_control") || slices.ContainsFunc(local, func(n string) bool { return strings.HasPrefix(n, "pg_wal") }) {
		t.Errorf("local archive: %v", local)
	}
	if !slices.Contains(local, "base/1/") || !slices.Contains(local, "pg_xact/0000") || !slices.Contains(shared, "pg_xact/0000") ||
		!slices.Contains(shared, "./pg_wal/archive_status/") || !slices.Contains(shared, "polar_fullpage/00000002.fp") {
		t.Errorf("local archive: %v\nshared archive: %v", local, shared)
	}
	control := slices.Index(shared, "global/pg_control")
	if control < 0 || !strings.HasPrefix(shared[control+1], "pg_wal/0") {
		t.Errorf("after pg_control comes %v", shared[control+1:])
	}
	status := d.DataDir + "/pg_wal/archive_status/" + strings.TrimPrefix(shared[control+1], "pg_wal/") + ".done"
	if (major == 15) != slices.Contains(shared, status) {
		t.Errorf("status file %s is missing or was not expected: %v", status, shared[control:])
	}
	if zeroed := strings.HasSuffix(string(b.archives[1]), string(make([]byte, 2*block))); major == 11 && len(b.archives[1])%(16<<20) == 0 && zeroed {
		t.Error("11 ends archives without blocks of zeros")
	}

	dir := testenv.Dir(t)
	Merge(t, unpack(t, b.archives[0], filepath.Join(dir, "local")), unpack(t, b.archives[1], filepath.Join(dir, "shared")), filepath.Join(dir, "merged"))
	node := testenv.StartCopy(t, major, filepath.Join(dir, "merged"), testenv.Primary, testenv.CopyOptions{})
	node.CheckTPCB()
	node.Integrity()
	s.NoBackupLeft()
}

// checkManifest: the manifest of 15 lists paths twice.
func checkManifest(t *testing.T, b *taken) {
	t.Helper()
	if !slices.Equal(b.names, []string{"base.tar", "data.tar", "manifest"}) {
		t.Errorf("archives %v", b.names)
	}
	var m struct{ Files []struct{ Path string } }
	if err := json.Unmarshal(b.manifest, &m); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range m.Files {
		if f.Path == "pg_xact/0000" {
			n++
		}
	}
	if last := m.Files[len(m.Files)-1].Path; n != 2 || last != "global/pg_control" {
		t.Errorf("pg_xact/0000 is there %d times, the last file is %s", n, last)
	}
}

// checkPFS: members from PFS have no owner, and on 15 one is an absolute path.
func checkPFS(t *testing.T, s *testenv.Server) {
	d := Start(t, s, Options{PFS: true})
	b, err := take(t, d, command(s.Major))
	if err != nil || b.err != nil {
		t.Fatal(err, b.err)
	}
	if s.Major == 15 {
		checkManifest(t, b)
	}
	absolute := ""
	err = readTar(strings.NewReader(string(b.archives[1])), func(h *header, _ io.Reader) error {
		if h.octal(100, 8) != 0o777 || h.octal(108, 8) != 0 {
			t.Errorf("%s: mode %o, user %d", h.name(), h.octal(100, 8), h.octal(108, 8))
		}
		if strings.HasPrefix(h.name(), "/") {
			absolute = h.name()
		}
		return nil
	})
	if err != nil || s.Major == 15 && !strings.HasPrefix(absolute, "/nvme1n1/shared_data//pg_wal/archive_status/") {
		t.Errorf("absolute member %q, %v", absolute, err)
	}
}

// checkTablespaces: the files of tablespaces are in the shared tree.
func checkTablespaces(t *testing.T, s *testenv.Server) {
	major := s.Major
	s.Tablespace("ts")
	s.Exec("CREATE TABLE t (i int) TABLESPACE ts", "INSERT INTO t VALUES (1)")
	b, err := take(t, Start(t, s, Options{}), command(major))
	if err != nil || b.err != nil {
		t.Fatal(err, b.err)
	}
	if major == 11 && (len(b.rows) != 3 || b.rows[0][0] == "-" || b.rows[0][2] != "0" || b.rows[0][3] != "1") || major == 15 && len(b.rows) != 2 {
		t.Errorf("header %v", b.rows)
	}
	n := len(b.rows)
	dir := testenv.Dir(t)
	Merge(t, unpack(t, b.archives[n-2], filepath.Join(dir, "local")), unpack(t, b.archives[n-1], filepath.Join(dir, "shared")), filepath.Join(dir, "merged"))
	node := testenv.StartCopy(t, major, filepath.Join(dir, "merged"), testenv.Primary, testenv.CopyOptions{})
	if got := node.Value("SELECT count(*) FROM t"); got != "1" {
		t.Errorf("%s rows in the tablespace's table", got)
	}
}

// checkFaults: what is asked to go wrong does.
func checkFaults(t *testing.T, s *testenv.Server) {
	d := Start(t, s, Options{Faults: Faults{CutAfter: 1 << 20}})
	if b, err := take(t, d, command(15)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) || b.end != "" {
		t.Errorf("cut: %v", err)
	}
	if b, err := take(t, d, command(15)); err != nil || b.end == "" {
		t.Errorf("the backup after the cut: %v", err)
	}
	d.SetFaults(Faults{ChecksumFailure: true})
	if b, err := take(t, d, command(15)); err != nil || b.end == "" || b.err == nil || b.err.Code != "XX001" || len(b.notices) == 0 {
		t.Errorf("checksum failure: end %q, error %v, notices %v, %v", b.end, b.err, b.notices, err)
	}
	d.SetFaults(Faults{Refuse: true})
	if b, err := take(t, d, command(15)); err != nil || b.err == nil || b.err.Code != "55000" {
		t.Errorf("refusal: %v, %v", b.err, err)
	}
	d.SetFaults(Faults{})
	if b, err := take(t, d, "BASE_BACKUP ( POLARDATA 'x')"); err != nil || b.err == nil || b.err.Code != "42601" {
		t.Errorf("an option that does not exist: %v, %v", b.err, err)
	}
	s.NoBackupLeft()
}

func TestParseBackup(t *testing.T) {
	c, ok := parseBackup("base_backup (LABEL 'a, WAL', progress, COMPRESSION 'lz4', COMPRESSION_DETAIL '3', TABLESPACE_MAP false, WAL)", 15)
	if !ok || !c.progress || c.tablespaceMap || !c.wal || c.compression != "lz4" || c.sql != "BASE_BACKUP (LABEL 'a, WAL', progress, TABLESPACE_MAP false, WAL)" {
		t.Errorf("%+v", c)
	}
	if c, _ := parseBackup("BASE_BACKUP LABEL 'x WAL' TABLESPACE_MAP", 11); c.wal || !c.tablespaceMap {
		t.Errorf("%+v", c)
	}
	if _, ok := parseBackup("BASE_BACKUPS", 15); ok {
		t.Error("BASE_BACKUPS was taken for BASE_BACKUP")
	}
}

// checkTool: PostgreSQL's own tool meets the double as it met PolarDB 15.
func checkTool(t *testing.T, s *testenv.Server) {
	if testenv.ToolMajor("pg_basebackup") < 15 {
		t.Skip("pg_basebackup 15 or later is not installed")
	}
	tool, d := testenv.Tool(t, "pg_basebackup"), Start(t, s, Options{})
	dir := testenv.Dir(t)
	run := func(name string, args ...string) *testenv.Process {
		return testenv.Run(t, testenv.ProcessOptions{}, tool, append([]string{"-d", d.ConnString(), "-D", filepath.Join(dir, name), "-c", "fast", "-N"}, args...)...)
	}
	// It sends TABLESPACE_MAP with -Ft.
	p := run("tar", "-Ft", "-z", "-X", "stream")
	entries, err := os.ReadDir(filepath.Join(dir, "tar"))
	if p.ExitCode() != 0 || err != nil || fmt.Sprint(entries) != "[- backup_manifest - base.tar.gz - data.tar.gz - pg_wal.tar.gz]" {
		t.Errorf("-Ft: exit code %d, %v, %v, %s", p.ExitCode(), entries, err, p.Stderr())
	}
	for _, method := range []string{"server-lz4", "server-zstd"} {
		if p := run(method, "-Ft", "-X", "none", "-Z", method); p.ExitCode() != 0 {
			t.Errorf("-Z %s: exit code %d, %s", method, p.ExitCode(), p.Stderr())
		}
	}
	p = run("plain", "-Fp")
	if p.ExitCode() == 0 || !strings.Contains(p.Stderr(), "could not create directory") || !strings.Contains(p.Stderr(), "File exists") {
		t.Errorf("-Fp: exit code %d, %s", p.ExitCode(), p.Stderr())
	}
	s.NoBackupLeft()
}
