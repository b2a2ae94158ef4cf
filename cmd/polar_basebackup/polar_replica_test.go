package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"polarcast/testenv/polardouble"
)

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

// A polar_datadir that is relative to the primary's data directory would lead a replica to its own. A role that may not see where the primary's is
// is told.
func polarReplicaRelative(p polar) {
	dir := newDir(p)
	p.must("-D", dir, "--node=replica", "--polar_host_id=2")
	want := "\npolar_datadir = 'file-dio://" + p.s.Value("SHOW data_directory") + "/polar_shared_data'\n"
	if text, err := os.ReadFile(dir + "/postgresql.conf"); err != nil || !strings.Contains(string(text), want) {
		p.Errorf("postgresql.conf does not say %q (%v)", want, err)
	}
	p.d = polardouble.Start(p, p.s, polardouble.Options{Relative: true})
	p.refused("whose data directory is not known", "--set polar_datadir", "--node=replica", "--polar_host_id=2", "-U", "backer")
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
