package main_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"polarcast/testenv"
)

// The ways to write a backup of one server: formats, compressions, WAL methods, manifests, targets.
func TestOutputs(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{Checksums: true})
	space := s.Tablespace("aside")
	s.LoadTPCB(1, 2000)
	s.Exec("CREATE TABLE there TABLESPACE aside AS SELECT g, repeat('x', 50) AS v FROM generate_series(1, 3000) g")
	aside := func(t *testing.T) []string { return []string{"-T", space + "=" + newDir(t)} }

	t.Run("manifests", func(t *testing.T) {
		for _, algorithm := range []string{"NONE", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512"} {
			dir := newDir(t)
			text := must(t, s, stream(append(aside(t), "-v", "-N", "-D", dir, "--manifest-checksums", algorithm, "--manifest-force-encode")...)...)
			check(t, s, dir)
			if !strings.Contains(text, "files are as the server's backup manifest says") {
				t.Errorf("%s: it does not say that the manifest was checked:\n%s", algorithm, text)
			}
		}
		dir := newDir(t)
		must(t, s, stream(append(aside(t), "-N", "-D", dir, "--no-manifest")...)...)
		if _, err := os.Stat(filepath.Join(dir, "backup_manifest")); !os.IsNotExist(err) {
			t.Errorf("--no-manifest: %v", err)
		}
		clean(t, dir)
	})

	t.Run("WAL none", func(t *testing.T) {
		var dir string
		// The server tells this to those whom it lets wait for its archive, without which there is no WAL for the copy.
		for _, source := range []string{"stream", "files"} {
			dir = newDir(t)
			text := must(t, s, append(aside(t), "-v", "-D", dir, "-Xnone", "--source="+source)...)
			if !strings.Contains(text, "NOTICE:  WAL archiving is not enabled") || strings.Contains(text, "write-ahead log") {
				t.Errorf("%s: it told:\n%s", source, text)
			}
		}
		check(t, s, dir, "-n")
		if found, _ := filepath.Glob(filepath.Join(dir, "pg_wal", "0*")); len(found) > 0 {
			t.Errorf("-X none brought %v", found)
		}
		s.NoBackupLeft()
	})

	t.Run("WAL fetch", func(t *testing.T) {
		dir := newDir(t)
		must(t, s, stream(append(aside(t), "-D", dir, "-Xfetch")...)...)
		check(t, s, dir)
		same(t, s, dir, testenv.CopyOptions{})
	})

	t.Run("no slot", func(t *testing.T) {
		dir := newDir(t)
		text := must(t, s, stream(append(aside(t), "-v", "-D", dir, "--no-slot")...)...)
		if strings.Contains(text, "replication slot") {
			t.Errorf("--no-slot made a slot:\n%s", text)
		}
		check(t, s, dir)
	})

	t.Run("slot and recovery settings", func(t *testing.T) {
		dir := newDir(t)
		must(t, s, stream(append(aside(t), "-D", dir, "-R", "-C", "-S", "standby_1")...)...)
		check(t, s, dir)
		b, err := os.ReadFile(filepath.Join(dir, "postgresql.auto.conf"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"primary_conninfo = '", "port=" + s.PortString(), "user=postgres", "primary_slot_name = 'standby_1'"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("postgresql.auto.conf does not hold %q:\n%s", want, b)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "standby.signal")); err != nil {
			t.Error(err)
		}
		p := start(t, s, stream(append(aside(t), "-D", newDir(t), "-C", "-S", "standby_1")...)...)
		fails(t, p, "replication slot \"standby_1\" already exists")
		dir = newDir(t) // without -C it is used as it is
		must(t, s, stream(append(aside(t), "-D", dir, "-S", "standby_1")...)...)
		check(t, s, dir)
		p = start(t, s, stream(append(aside(t), "-D", newDir(t), "-S", "no_such_slot")...)...)
		fails(t, p, "replication slot \"no_such_slot\" does not exist")
		s.NoBackupLeft("standby_1")
		s.Exec("SELECT pg_drop_replication_slot('standby_1')")
	})

	t.Run("compressed by the server", func(t *testing.T) {
		for _, method := range []string{"server-gzip:3", "server-lz4", "server-zstd:level=2"} {
			dir := newDir(t)
			must(t, s, stream(append(aside(t), "-N", "-D", dir, "-Z", method)...)...)
			check(t, s, dir)
		}
	})

	t.Run("archives", func(t *testing.T) {
		for _, c := range []struct{ z, suffix string }{{"none", ".tar"}, {"client-gzip:2", ".tar.gz"}, {"client-lz4", ".tar.lz4"}, {"client-zstd:5", ".tar.zst"},
			{"server-gzip", ".tar.gz"}, {"server-zstd:2", ".tar.zst"}, {"server-lz4", ".tar.lz4"}} {
			dir := newDir(t)
			must(t, s, stream("-D", dir, "-N", "-Ft", "-Z", c.z)...)
			clean(t, dir)
			if _, err := os.Stat(filepath.Join(dir, "base"+c.suffix)); err != nil {
				t.Errorf("%s: %v", c.z, err)
				continue
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"+c.suffix)); len(found) != 1 {
				t.Errorf("%s: archives of tablespaces: %v", c.z, found)
			}
			if _, err := os.Stat(filepath.Join(dir, "backup_manifest")); err != nil {
				t.Errorf("%s: %v", c.z, err)
			}
			if c.suffix == ".tar" || c.suffix == ".tar.gz" {
				restored(t, s, dir, c.suffix)
			}
		}
	})

	t.Run("progress", func(t *testing.T) {
		for _, source := range []string{"stream", "files"} {
			text := must(t, s, append(aside(t), "-N", "-P", "-D", newDir(t), "--source="+source)...)
			lines := strings.Split(strings.TrimSpace(text), "\n")
			m := regexp.MustCompile(`^(\d+)/(\d+) kB \(100%\), 2/2 tablespaces$`).FindStringSubmatch(lines[len(lines)-1])
			if m == nil || m[1] != m[2] {
				t.Errorf("%s: the last line of progress is not that of a whole backup:\n%s", source, text)
			}
		}
		p := start(t, s, append(aside(t), stream("-v", "-P", "-r", "1M", "-D", newDir(t))...)...)
		begun(p)
		p.Signal(syscall.SIGTERM)
		if text := failsWith(t, p, 128+int(syscall.SIGTERM), "interrupted"); strings.Contains(text, "(100%)") {
			t.Errorf("an interrupted backup shows 100%%:\n%s", text)
		}
	})

	t.Run("standard output", func(t *testing.T) {
		refused := start(t, s, stream("-D", "-", "-Ft", "-Xfetch")...)
		fails(t, refused, "can only write single tablespace to stdout, database has 2")
		if refused.Stdout() != "" {
			t.Errorf("%d bytes were written to standard output", len(refused.Stdout()))
		}
		s.Exec("DROP TABLE there", "DROP TABLESPACE aside")
		p := start(t, s, stream("-D", "-", "-Ft", "-Xfetch")...)
		if code := p.Wait(generous); code != 0 {
			t.Fatalf("exit status %d\n%s", code, p.Stderr())
		}
		p.NoSurvivors()
		out := testenv.Dir(t)
		untar(t, bytes.NewReader([]byte(p.Stdout())), out)
		check(t, s, out)
		same(t, s, out, testenv.CopyOptions{})
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "polar_basebackup-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})

	t.Run("nowhere", func(t *testing.T) {
		text := must(t, s, "--target", "blackhole", "-Xnone", "-v", "-P")
		if !strings.Contains(text, "base backup completed") {
			t.Error(text)
		}
		s.NoBackupLeft()
	})

	t.Run("on the server", func(t *testing.T) {
		dir := newDir(t)
		must(t, s, "--target", "server:"+dir, "-Xfetch", "-Z", "gzip")
		if _, err := os.Stat(filepath.Join(dir, "base.tar.gz")); err != nil {
			t.Error(err)
		}
		p := start(t, s, "--target", "server:"+dir, "-Xfetch")
		fails(t, p, "directory \""+dir+"\" exists but is not empty")
		p = start(t, s, "--target", "moon", "-Xfetch")
		fails(t, p, "unrecognized target: \"moon\"")
	})

	t.Run("report", func(t *testing.T) {
		dir, file := newDir(t), filepath.Join(testenv.Dir(t), "report.json")
		must(t, s, stream("-D", dir, "--report", file)...)
		r := report(t, file)
		if !r.OK || r.Error != "" || r.Continued || r.BytesRead == 0 || r.BytesWritten < r.BytesRead/2 || r.Files == 0 || r.WALSegments == 0 ||
			r.StartLSN >= r.EndLSN || !r.ManifestChecked || r.Seconds.Total <= 0 || r.SystemIdentifier == "" || r.ServerVersionNum/10000 != 15 || r.Session != 1 {
			t.Errorf("report %+v", r)
		}
		p := start(t, s, stream("-D", dir, "--report", file)...)
		fails(t, p, "exists but is not empty")
		if r := report(t, file); r.OK || !strings.Contains(r.Error, "exists but is not empty") {
			t.Errorf("report %+v", r)
		}
		dir = newDir(t)
		p = start(t, s, stream("-D", dir, "--report", "/no/such/place/report.json")...)
		fails(t, p, "could not be written to \"/no/such/place/report.json\": No such file or directory")
		untouched(t, dir, false)
		// Refused before there is a server: the report of the run before would be taken for this one's.
		for _, args := range [][]string{{"-C"}, {"-d", "no such=option"}} {
			must(t, s, stream("--report", file, "--target=blackhole", "-Xnone")...)
			fails(t, start(t, s, append([]string{"-D", dir, "--report", file}, args...)...))
			if r := report(t, file); r.OK || r.Error == "" || r.Started.IsZero() {
				t.Errorf("%v: report %+v", args, r)
			}
		}
		if left, _ := filepath.Glob(file + "?*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})

	t.Run("report to a pipe", func(t *testing.T) {
		fifo := filepath.Join(testenv.Dir(t), "pipe")
		if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.Chmod(fifo, 0o666)); err != nil { // the program runs as another user
			t.Fatal(err)
		}
		got := make(chan []byte, 1)
		go func() {
			b, _ := os.ReadFile(fifo)
			got <- b
		}()
		must(t, s, stream("--report", fifo, "--target=blackhole", "-Xnone")...)
		if b := <-got; !bytes.Contains(b, []byte(`"ok": true`)) {
			t.Errorf("read %q", b)
		}
		if info, err := os.Lstat(fifo); err != nil || info.Mode().IsRegular() {
			t.Errorf("the pipe was replaced: %v, %v", info.Mode(), err)
		}
	})
}

// restored unpacks the archives of a tar backup and compares the server that they make.
func restored(t *testing.T, s *testenv.Server, dir, suffix string) {
	t.Helper()
	out := testenv.Dir(t)
	extract := func(name, into string) {
		t.Helper()
		if b, err := exec.Command("tar", "-xf", filepath.Join(dir, name), "-C", into).CombinedOutput(); err != nil {
			t.Fatalf("tar -xf %s: %v\n%s", name, err, b)
		}
	}
	extract("base"+suffix, out)
	wal := "pg_wal.tar"
	if suffix == ".tar.gz" {
		wal += ".gz"
		if _, err := os.Stat(filepath.Join(dir, wal)); err != nil {
			wal = "pg_wal.tar"
		}
	}
	extract(wal, filepath.Join(out, "pg_wal"))
	m, err := os.ReadFile(filepath.Join(dir, "backup_manifest"))
	if err == nil {
		err = os.WriteFile(filepath.Join(out, "backup_manifest"), m, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(out, "tablespace_map"))
	if err != nil {
		t.Fatal(err)
	}
	oid, old, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	into := testenv.Dir(t)
	extract(oid+suffix, into)
	if err := os.WriteFile(filepath.Join(out, "tablespace_map"), []byte(strings.Replace(string(b), old, into, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	owned(t, out)
	owned(t, into)
	same(t, s, out, testenv.CopyOptions{})
}

// untar extracts one archive from its reader.
func untar(t *testing.T, r io.Reader, dir string) {
	t.Helper()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(name, 0o700)
		case tar.TypeReg:
			var b []byte
			if b, err = io.ReadAll(tr); err == nil {
				if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
					err = os.WriteFile(name, b, 0o600)
				}
			}
		default:
			t.Fatalf("%s has type %c", h.Name, h.Typeflag)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	owned(t, dir)
}

// owned makes an unpacked directory one that a server accepts.
func owned(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	testenv.Own(t, dir)
}
