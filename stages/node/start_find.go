package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// EnvPgCtl is the environment variable that names the pg_ctl to start nodes with.
const EnvPgCtl = "POLARCAST_PG_CTL"

// ctlVersion is the major version in what pg_ctl --version prints.
var ctlVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// findPgCtl returns the pg_ctl of the source's major version: the one that the environment names, the one of the search path, and then those in the
// places where packages and PolarDB's build script put it. PolarDB needs its own.
func findPgCtl(ctx context.Context, p *messages.Prepared) (string, error) {
	major := postgres.Major(p.ServerVersion)
	if name := os.Getenv(EnvPgCtl); name != "" {
		if why := unfit(ctx, name, major, p.Polar != nil); why != "" {
			return "", fmt.Errorf("%s names \"%s\", which cannot start the node: %s", EnvPgCtl, name, why)
		}
		return name, nil
	}
	var seen []string
	for _, name := range candidates(major) {
		if _, err := os.Stat(name); err != nil {
			continue
		}
		why := unfit(ctx, name, major, p.Polar != nil)
		if why == "" {
			return name, nil
		}
		seen = append(seen, fmt.Sprintf("\"%s\" %s", name, why))
	}
	product := "PostgreSQL"
	if p.Polar != nil {
		product = "PolarDB"
	}
	msg := fmt.Sprintf("no pg_ctl of %s %d was found on this host to start the node with: put it into PATH, or name it with %s", product, major, EnvPgCtl)
	if len(seen) > 0 {
		msg += " (" + strings.Join(seen, "; ") + ")"
	}
	return "", fmt.Errorf("%s", msg)
}

func candidates(major int) []string {
	var names []string
	if onPath, err := exec.LookPath("pg_ctl"); err == nil {
		if abs, err := filepath.Abs(onPath); err == nil {
			names = append(names, abs)
		}
	}
	m := strconv.Itoa(major)
	for _, dir := range []string{"/usr/lib/postgresql/" + m + "/bin", "/usr/pgsql-" + m + "/bin", "/usr/local/pgsql/bin", "/usr/local/polardb_pg/bin",
		"/u01/polardb_pg/bin"} {
		names = append(names, dir+"/pg_ctl")
	}
	if home, err := os.UserHomeDir(); err == nil { // build.sh of PolarDB 15, polardb_build.sh of 11
		names = append(names, home+"/tmp_polardb_pg_15_base/bin/pg_ctl", home+"/tmp_basedir_polardb_pg_1100_bld/bin/pg_ctl")
	}
	return names
}

// unfit says why a pg_ctl cannot start the node, "" when it can.
func unfit(ctx context.Context, name string, major int, polar bool) string {
	out, err := exec.CommandContext(ctx, name, "--version").Output()
	if err != nil {
		return fmt.Sprintf("does not run: %v", err)
	}
	m := ctlVersion.FindStringSubmatch(string(out))
	if m == nil || m[1] != strconv.Itoa(major) {
		return fmt.Sprintf("is %s", strings.TrimSpace(string(out)))
	}
	if polar && !isPolar(name) {
		return "is not PolarDB's"
	}
	return ""
}

// isPolar reports whether the programs beside a pg_ctl are PolarDB's: it installs its own initialisation script, and polar_basebackup, there.
func isPolar(ctl string) bool {
	if to, err := filepath.EvalSymlinks(ctl); err == nil {
		ctl = to
	}
	for _, name := range []string{"polar-initdb.sh", "polar_basebackup"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(ctl), name)); err == nil {
			return true
		}
	}
	return false
}
