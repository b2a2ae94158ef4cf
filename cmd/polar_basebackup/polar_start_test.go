package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"polarcast/testenv"
)

// fakeCtl is a pg_ctl of PolarDB that starts nothing: it notes who has the disk mounted, and says that a primary runs. A real one would mount the
// disk itself, with the host id that the copy was made with.
func fakeCtl(p polar, runDir string) (ctl, clients string) {
	dir := testenv.Dir(p)
	ctl, clients = filepath.Join(dir, "pg_ctl"), filepath.Join(dir, "clients")
	script := fmt.Sprintf(`#!/bin/sh
case " $* " in
*" --version "*) echo "pg_ctl (PostgreSQL) %d.8" ;;
*" status "*) test -e %[2]s/started ;;
*" start "*) if [ -e %[2]s/broken ]; then exit 1; fi; ls %[3]s/nvme2n1 > %[2]s/clients; touch %[2]s/started; printf '1\n\n\n\n\n\n\nready   \n' > "$2/postmaster.pid" ;;
esac
`, p.d.Major, dir, runDir)
	for _, f := range []struct{ name, text string }{{ctl, script}, {filepath.Join(dir, "polar_basebackup"), ""}} {
		if err := os.WriteFile(f.name, []byte(f.text), 0o755); err != nil {
			p.Fatal(err)
		}
	}
	testenv.Own(p, dir)
	return ctl, clients
}

// A node that is started has the disk for itself: it mounts it with the same host id, of which pfsd takes one.
func polarStart(p polar) {
	disk := newPFS(p)
	ctl, clients := fakeCtl(p, disk.RunDir)
	*p.env = append(*p.env, "POLARCAST_PG_CTL="+ctl)
	dir := newDir(p)
	told := p.must(pfsArgs(disk, dir, "--node=primary", "--start", "-v")...)
	if !strings.Contains(told, "starting the node") {
		p.Errorf("the node was not started:\n%s", told)
	}
	if b, err := os.ReadFile(clients); err != nil || strings.Contains(string(b), ".pid") {
		p.Errorf("when the node was started the disk was mounted by %q (%v)", b, err)
	}
	released(p.T, disk)
}

// A start that fails takes both trees with it when its user wants that: the disk is mounted again for it.
func polarStartFails(p polar) {
	disk := newPFS(p)
	ctl, _ := fakeCtl(p, disk.RunDir)
	if err := os.WriteFile(filepath.Join(filepath.Dir(ctl), "broken"), nil, 0o644); err != nil {
		p.Fatal(err)
	}
	*p.env = append(*p.env, "POLARCAST_PG_CTL="+ctl)
	dir := newDir(p)
	c := p.start(pfsArgs(disk, dir, "--node=primary", "--start", "--no-resume")...)
	if code := c.Wait(generous); code != 1 || !strings.Contains(c.Stderr(), "did not start") {
		p.Fatalf("exit status %d: %s", code, c.Stderr())
	}
	untouched(p, dir, false)
	if _, err := os.Stat(filepath.Join(disk.Dir("nvme2n1"), "shared_data")); !os.IsNotExist(err) {
		p.Errorf("the shared tree was left on the disk: %v", err)
	}
	released(p.T, disk)
}

// A directory that was made for a tablespace goes with the rest of a failed backup, also when the server sends the link only (15).
func polarTablespacesFail(p polar) {
	from := p.s.Tablespace("ts2")
	p.s.Exec("CREATE TABLE in_ts2 (a int) TABLESPACE ts2")
	defer p.s.Exec("DROP TABLE in_ts2", "DROP TABLESPACE ts2")
	dir, to := newDir(p), newDir(p)
	c := p.start("-D", dir, "-T", from+"="+to, "--no-resume", "--max-rate=4M")
	if code := c.Wait(generous); code != 1 {
		p.Fatalf("exit status %d: %s", code, c.Stderr())
	}
	untouched(p, dir, false)
	untouched(p, to, false)
}
