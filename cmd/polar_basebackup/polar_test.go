package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"polarcast/testenv"
	"polarcast/testenv/pfsdouble"
	"polarcast/testenv/polardouble"
)

// polar is a PolarDB on the wire and what it is made of.
type polar struct {
	*testing.T
	s *testenv.Server
	d *polardouble.Double
}

func (p polar) start(args ...string) *testenv.Process {
	p.Helper()
	args = append([]string{"-d", p.d.ConnString(), "-c", "fast"}, args...)
	return testenv.StartProcess(p, testenv.ProcessOptions{}, testenv.Binary(p, "polar_basebackup"), args...)
}

// must runs to a good end and returns what was written to standard error.
func (p polar) must(args ...string) string {
	p.Helper()
	c := p.start(args...)
	if code := c.Wait(generous); code != 0 {
		p.Fatalf("polar_basebackup %v: exit status %d\n%s", args, code, c.Stderr())
	}
	c.NoSurvivors()
	p.s.NoBackupLeft("standby1", "replica2")
	return c.Stderr()
}

// same proves two trees by starting a real server from them.
func (p polar) same(local, shared string) {
	p.Helper()
	merged := newDir(p)
	polardouble.Merge(p, local, shared, merged)
	same(p, p.s, merged, testenv.CopyOptions{})
}

// verify holds both trees against their manifests.
func (p polar) verify(local, shared string) {
	p.Helper()
	if p.d.Major < 13 {
		return
	}
	args := []string{}
	if filepath.Dir(shared) == local {
		args = append(args, "-i", filepath.Base(shared))
	}
	check(p, p.s, local, args...)
	check(p, p.s, shared)
}

// TestPolar runs all checks of one major before one real server.
func TestPolar(t *testing.T) {
	for _, major := range []int{11, 15} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			s := testenv.Start(t, major, testenv.Options{Checksums: true})
			filler(s, 6)
			s.Exec("CREATE ROLE backer LOGIN REPLICATION")
			for _, c := range []struct {
				name string
				opts polardouble.Options
				run  func(polar)
			}{
				{"streamed WAL, default directory", polardouble.Options{}, polarDefault},
				{"fetched WAL, --polardata, -R", polardouble.Options{PFS: true}, polarFetched},
				{"to PFS", polardouble.Options{PFS: true}, polarToPFS},
				{"killed while writing to PFS", polardouble.Options{PFS: true}, polarKilled},
				{"archives", polardouble.Options{}, polarArchives},
				{"one archive", polardouble.Options{PFS: true}, polarOneArchive},
				{"replica over SQL", polardouble.Options{}, polarReplica},
				{"replica over the base backup protocol", polardouble.Options{}, polarReplicaByBackup},
				{"shared tree and configuration", polardouble.Options{}, polarConfig},
				{"shared tree only", polardouble.Options{}, polarSharedOnly},
				{"refusals", polardouble.Options{}, polarRefusals},
				{"user tablespaces", polardouble.Options{}, polarTablespaces},
				{"not in shared-storage mode", polardouble.Options{NotShared: true}, polarNotShared},
			} {
				t.Run(c.name, func(t *testing.T) { c.run(polar{t, s, polardouble.Start(t, s, c.opts)}) })
			}
		})
	}
}

func polarDefault(p polar) {
	dir := newDir(p)
	p.must(stream("-D", dir)...)
	shared := dir + "/polar_shared_data"
	p.verify(dir, shared)
	modes(p, dir, 0o600, 0o700)
	// The files of full pages are allocated by the server and full of zeros: here they take no space.
	st, err := os.Stat(shared + "/polar_fullpage/00000000.fp")
	if err != nil || st.Size() != 1<<20 || st.Sys().(*syscall.Stat_t).Blocks > 8 {
		p.Errorf("polar_fullpage: %v, %v", st, err)
	}
	p.same(dir, shared)
}

func polarFetched(p polar) {
	top := newDir(p)
	dir, shared := top+"/local", top+"/shared"
	p.must(stream("-D", dir, "--polardata", shared, "-X", "fetch", "-R")...)
	p.verify(dir, shared)
	modes(p, shared, 0o600, 0o700) // PFS shows every file as 0777
	for _, name := range []string{"standby.signal", "postgresql.auto.conf", "recovery.conf"} {
		if _, err := os.Stat(filepath.Join(shared, name)); err == nil {
			p.Errorf("-R wrote %s into the shared tree", name)
		}
	}
	signal := "standby.signal"
	if p.d.Major == 11 {
		signal = "recovery.conf"
	}
	if err := os.Remove(filepath.Join(dir, signal)); err != nil {
		p.Error(err)
	}
	done, _ := filepath.Glob(shared + "/pg_wal/archive_status/*.done")
	if len(done) == 0 {
		p.Error("the fetched WAL has no archive status")
	}
	p.same(dir, shared)
}

// The files of user tablespaces are in the shared tree; the local one has a link, which leads where -T says.
func polarTablespaces(p polar) {
	from := p.s.Tablespace("ts")
	p.s.Exec("CREATE TABLE in_ts TABLESPACE ts AS SELECT g FROM generate_series(1, 1000) g")
	defer p.s.Exec("DROP TABLE in_ts", "DROP TABLESPACE ts")
	oid := p.s.Value("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")
	dir, to := newDir(p), newDir(p)
	p.must(stream("-D", dir, "-T", from+"="+to)...)
	if have, err := os.Readlink(dir + "/pg_tblspc/" + oid); err != nil || have != to {
		p.Errorf("the link leads to %q (%v), want %q", have, err, to)
	}
	if found, _ := filepath.Glob(dir + "/polar_shared_data/pg_tblspc/" + oid + "/PG_*/*/*"); len(found) == 0 {
		p.Error("the tablespace's files are not in the shared tree")
	}
	p.verify(dir, dir+"/polar_shared_data")
	p.same(dir, dir+"/polar_shared_data")
}

// pfsArgs are the options of the guide for a Standby on PFS.
func pfsArgs(p *pfsdouble.Double, dir string, args ...string) []string {
	return append(stream("-D", dir, "--polardata=/nvme2n1/shared_data/", "--polar_disk_home=nvme2n1", "--polar_host_id=3",
		"--polar_storage_cluster_name=disk", "--pfsd-lib="+p.Library), args...)
}

func newPFS(t *testing.T) *pfsdouble.Double {
	d := pfsdouble.New(t, "nvme2n1")
	testenv.Own(t, d.Root)
	return d
}

// released fails the test when a client of the disk is left.
func released(t *testing.T, d *pfsdouble.Double) {
	t.Helper()
	if pids, _ := filepath.Glob(filepath.Join(d.RunDir, "nvme2n1", "*.pid")); len(pids) > 0 {
		t.Errorf("the disk is still mounted: %v", pids)
	}
}

func polarToPFS(p polar) {
	disk := newPFS(p.T)
	dir := newDir(p)
	told := p.must(pfsArgs(disk, dir, "--node=standby", "-C", "-S", "standby1", "--set", "port=5433", "-v")...)
	defer p.s.Exec("SELECT pg_drop_replication_slot('standby1')")
	released(p.T, disk)
	shared := disk.Dir("nvme2n1") + "/shared_data"
	p.verify(dir, shared)
	conf, err := os.ReadFile(dir + "/postgresql.conf")
	if err != nil {
		p.Fatal(err)
	}
	for _, line := range []string{"polar_hostid = 3", "polar_disk_name = nvme2n1", "polar_datadir = '/nvme2n1/shared_data/'", "port = 5433",
		"polar_storage_cluster_name = disk"} {
		if !strings.Contains(string(conf), "\n"+line) || !strings.Contains(told, "\n+"+line) {
			p.Errorf("%q is not in the configuration or was not shown", line)
		}
	}
	if v := p.s.Value("SELECT slot_type FROM pg_replication_slots WHERE slot_name = 'standby1'"); v != "physical" {
		p.Errorf("slot: %q", v)
	}
	// A real PostgreSQL does not know PolarDB's parameters, and this node would follow.
	for _, name := range []string{"standby.signal", "recovery.conf"} {
		os.Remove(dir + "/" + name)
	}
	if err := os.WriteFile(dir+"/postgresql.conf", []byte("wal_level = replica\n"), 0o600); err != nil {
		p.Fatal(err)
	}
	p.same(dir, shared)
}

func polarKilled(p polar) {
	disk := newPFS(p.T)
	dir := newDir(p)
	c := p.start(pfsArgs(disk, dir, "-v", "-r", "4M")...)
	begun(c)
	p.s.Eventually("files on the disk", func() (bool, error) {
		_, err := os.Stat(disk.Dir("nvme2n1") + "/shared_data/global")
		return err == nil, nil
	})
	c.KillOnly()
	c.Wait(generous)
	told := p.must(pfsArgs(disk, dir, "-v")...)
	if !strings.Contains(told, "continuing the interrupted backup") {
		p.Errorf("the second run told:\n%s", told)
	}
	released(p.T, disk)
	shared := disk.Dir("nvme2n1") + "/shared_data"
	p.verify(dir, shared)
	p.same(dir, shared)
}

func unpackInto(t testing.TB, archive, into string) {
	t.Helper()
	if err := os.MkdirAll(into, 0o700); err != nil {
		t.Fatal(err)
	}
	if b, err := exec.Command("tar", "-xf", archive, "-C", into).CombinedOutput(); err != nil {
		t.Fatalf("tar -xf %s: %v\n%s", archive, err, b)
	}
}

func polarArchives(p polar) {
	tar, out := newDir(p), testenv.Dir(p)
	p.must("-D", tar, "-Ft", "-X", "stream")
	dir, shared := out+"/local", out+"/local/polar_shared_data"
	unpackInto(p, tar+"/base.tar", dir)
	unpackInto(p, tar+"/data.tar", shared)
	unpackInto(p, tar+"/pg_wal.tar", shared+"/pg_wal")
	if p.d.Major >= 13 {
		if err := os.Rename(tar+"/backup_manifest", dir+"/backup_manifest"); err != nil {
			p.Fatal(err)
		}
	}
	testenv.Own(p, out)
	p.verify(dir, shared)
	p.same(dir, shared)
}

func polarOneArchive(p polar) {
	out := testenv.Dir(p)
	c := p.start("-D", "-", "-Ft", "-X", "fetch")
	if code := c.Wait(generous); code != 0 {
		p.Fatalf("exit status %d: %s", code, c.Stderr())
	}
	if err := os.WriteFile(out+"/all.tar", []byte(c.Stdout()), 0o600); err != nil {
		p.Fatal(err)
	}
	unpackInto(p, out+"/all.tar", out+"/local")
	testenv.Own(p, out)
	p.verify(out+"/local", out+"/local/polar_shared_data")
	p.same(out+"/local", out+"/local/polar_shared_data")
}

// replicaFiles fails the test unless a directory is a replica's, without a byte of shared data.
func (p polar) replicaFiles(dir string) {
	p.Helper()
	for _, name := range []string{"polar_shared_data", "backup_label", "backup_manifest", "pg_wal", "standby.signal", "global/pg_control"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			p.Errorf("the replica has %s", name)
		}
	}
	for _, name := range []string{"PG_VERSION", "postgresql.conf", "pg_hba.conf", "pg_logical/snapshots", "pg_tblspc", "pg_notify"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			p.Errorf("the replica has no %s", name)
		}
	}
	name, want := "postgresql.conf", "application_name=replica2"
	if p.d.Major == 11 {
		name = "recovery.conf"
		want = "polar_replica = 'on'\n"
	} else if _, err := os.Stat(dir + "/replica.signal"); err != nil {
		p.Error(err)
	}
	text, err := os.ReadFile(dir + "/" + name)
	if err != nil || !strings.Contains(string(text), want) {
		p.Errorf("%s does not say %q (%v):\n%s", name, want, err, text)
	}
	clean(p, dir)
}

func (p polar) asked(prefix string) bool {
	return slices.ContainsFunc(p.d.Commands(), func(c string) bool { return strings.HasPrefix(c, prefix) })
}

func polarReplica(p polar) {
	dir := newDir(p)
	p.must("-D", dir, "--node=replica", "--polar_host_id=2", "-C", "-S", "replica2")
	defer p.s.Exec("SELECT pg_drop_replication_slot('replica2')")
	p.replicaFiles(dir)
	if p.asked("BASE_BACKUP") {
		p.Errorf("a base backup was taken: %v", p.d.Commands())
	}
	if n := p.s.Value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'replica2'"); n != "1" {
		p.Errorf("%s slots", n)
	}
}

// A role that may only replicate cannot read files: the local tree comes from a base backup that is cut where the shared one begins.
func polarReplicaByBackup(p polar) {
	dir := newDir(p)
	c := p.start("-D", dir, "--node=replica", "--polar_host_id=2", "-U", "backer", "--report", dir+".json")
	if code := c.Wait(generous); code != 0 {
		p.Fatalf("exit status %d: %s", code, c.Stderr())
	}
	p.replicaFiles(dir)
	if !p.asked("BASE_BACKUP") {
		p.Errorf("no base backup was taken: %v", p.d.Commands())
	}
	p.s.Eventually("the end of the backup on the server", func() (bool, error) {
		v, err := p.s.TryValue("postgres", "SELECT count(*) FROM pg_stat_replication")
		return v == "0", err
	})
	if r := report(p, dir+".json"); r.BytesWritten > 1<<20 {
		p.Errorf("%d bytes were written for a replica", r.BytesWritten)
	}
}

func polarConfig(p polar) {
	dir := newDir(p)
	p.must("-D", dir, "--local=config")
	if _, err := os.Stat(dir + "/pg_xact/0000"); err == nil {
		p.Error("the local tree's caches were copied")
	}
	p.verify(dir, dir+"/polar_shared_data")
	p.same(dir, dir+"/polar_shared_data")
}

func polarSharedOnly(p polar) {
	dir := newDir(p)
	p.must("-D", dir, "--local=none")
	entries, err := os.ReadDir(dir)
	if err != nil {
		p.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{"backup_label", "backup_manifest", "polar_shared_data"}, e.Name()) {
			p.Errorf("%s was copied", e.Name())
		}
	}
	p.verify(dir, dir+"/polar_shared_data")
}
