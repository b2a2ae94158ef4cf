package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"polarcast/testenv"
	"polarcast/testenv/polardouble"
)

// polar is a PolarDB on the wire and what it is made of.
type polar struct {
	*testing.T
	s   *testenv.Server
	d   *polardouble.Double
	env *[]string // added to the environment of the program
}

func (p polar) start(args ...string) *testenv.Process {
	p.Helper()
	args = append([]string{"-d", p.d.ConnString(), "-c", "fast"}, args...)
	return testenv.StartProcess(p, testenv.ProcessOptions{Env: *p.env}, testenv.Binary(p, "polar_basebackup"), args...)
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
	t.Parallel()
	for _, major := range []int{11, 15} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			s := testenv.Start(t, major, testenv.Options{Checksums: true})
			filler(s, 6)
			s.Exec("CREATE ROLE backer LOGIN REPLICATION")
			for _, c := range []struct {
				name string
				only int // the major of an ordinary run, where both do the same or one has it; 0: both
				opts polardouble.Options
				run  func(polar)
			}{
				{"streamed WAL, default directory", 0, polardouble.Options{}, polarDefault},
				{"fetched WAL, --polardata, -R", 0, polardouble.Options{PFS: true}, polarFetched},
				{"to PFS", 0, polardouble.Options{PFS: true}, polarToPFS},
				{"killed while writing to PFS", 0, polardouble.Options{PFS: true}, polarKilled},
				{"interrupted while pfsd is down", 15, polardouble.Options{PFS: true}, polarHung},
				{"PFS without room", 15, polardouble.Options{PFS: true}, polarFull},
				{"started on PFS", 15, polardouble.Options{PFS: true}, polarStart},
				{"start fails on PFS", 11, polardouble.Options{PFS: true}, polarStartFails},
				{"tablespaces, cut", 15, polardouble.Options{Faults: polardouble.Faults{CutAfter: 24 << 20}}, polarTablespacesFail},
				{"read through PFS", 15, polardouble.Options{PFS: true}, polarFromPFS},
				{"a member is missing", 15, polardouble.Options{Faults: polardouble.Faults{LoseMember: "pg_xact/0000"}}, polarIncomplete},
				{"a torn archive", 11, polardouble.Options{Faults: polardouble.Faults{Tear: true}}, polarIncomplete},
				{"archives", 0, polardouble.Options{}, polarArchives},
				{"one archive", 11, polardouble.Options{PFS: true}, polarOneArchive},
				{"replica over SQL", 0, polardouble.Options{}, polarReplica},
				{"replica over the base backup protocol", 0, polardouble.Options{}, polarReplicaByBackup},
				{"replica, relative polar_datadir", 15, polardouble.Options{Relative: true}, polarReplicaRelative},
				{"shared tree and configuration", 0, polardouble.Options{}, polarConfig},
				{"shared tree only", 11, polardouble.Options{}, polarSharedOnly},
				{"refusals", 15, polardouble.Options{}, polarRefusals},
				{"user tablespaces", 0, polardouble.Options{}, polarTablespaces},
				{"not in shared-storage mode", 15, polardouble.Options{NotShared: true}, polarNotShared},
			} {
				if c.only != 0 && c.only != major && !(testenv.Soak() && c.name != "a member is missing") { // 11 has no manifest that would tell
					continue
				}
				t.Run(c.name, func(t *testing.T) { c.run(polar{T: t, s: s, d: polardouble.Start(t, s, c.opts), env: new([]string)}) })
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

// What the server sends must be what its manifest lists, and end where a member ends: anything else is one error, and no copy that could start.
func polarIncomplete(p polar) {
	dir := newDir(p)
	c := p.start(stream("-D", dir, "--no-resume")...)
	if code := c.Wait(generous); code != 1 {
		p.Fatalf("exit status %d, want 1\n%s", code, c.Stderr())
	}
	if n := strings.Count(c.Stderr(), "which the server did not send") + strings.Count(c.Stderr(), "malformed tar archive"); n != 1 {
		p.Errorf("%d errors, want one:\n%s", n, c.Stderr())
	}
	untouched(p, dir, false)
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
