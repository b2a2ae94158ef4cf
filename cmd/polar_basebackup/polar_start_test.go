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
*" start "*) ls %[3]s/nvme2n1 > %[2]s/clients; touch %[2]s/started; printf '1\n\n\n\n\n\n\nready   \n' > "$2/postmaster.pid" ;;
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
	disk := newPFS(p.T)
	ctl, clients := fakeCtl(p, disk.RunDir)
	p.Setenv("POLARCAST_PG_CTL", ctl)
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
