package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// npmVersions are the releases of @embedded-postgres/linux-* that the tests use, by major version.
var npmVersions = map[int]string{
	11: "11.22.1-beta.11",
	12: "12.22.0-beta.15",
	13: "13.23.0-beta.16",
	14: "14.23.0-beta.17",
	15: "15.18.0-beta.17",
	16: "16.14.0-beta.17",
	17: "17.10.0-beta.17",
	18: "18.4.0-beta.17",
}

// Majors are the major versions that the tests run against, oldest first: 11 to 18, or those listed in $POLARCAST_TEST_MAJORS ("11,15,18").
func Majors() []int {
	if list := os.Getenv("POLARCAST_TEST_MAJORS"); list != "" {
		var majors []int
		for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
			if major, err := strconv.Atoi(word); err == nil && npmVersions[major] != "" {
				majors = append(majors, major)
			}
		}
		slices.Sort(majors)
		return majors
	}
	return []int{11, 12, 13, 14, 15, 16, 17, 18}
}

// EachMajor runs fn as one subtest for each of Majors.
func EachMajor(t *testing.T, fn func(t *testing.T, major int)) {
	for _, major := range Majors() {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) { fn(t, major) })
	}
}

// Soak says that this run takes hours rather than minutes: $POLARCAST_SOAK is 1, as "make soak" sets it. Tests then run all their variants and rounds.
func Soak() bool { return os.Getenv("POLARCAST_SOAK") == "1" }

// SomeMajors runs fn for the given majors, which are those where the thing under test differs; in a soak run, for each of Majors.
func SomeMajors(t *testing.T, majors []int, fn func(t *testing.T, major int)) {
	EachMajor(t, func(t *testing.T, major int) {
		if !Soak() && os.Getenv("POLARCAST_TEST_MAJORS") == "" && !slices.Contains(majors, major) {
			t.Skip("only with POLARCAST_SOAK=1 or POLARCAST_TEST_MAJORS")
		}
		fn(t, major)
	})
}

// Programs are the server programs of one major version.
type Programs struct {
	Major int
	Bin   string // directory of initdb, pg_ctl and postgres
	Lib   string // for LD_LIBRARY_PATH; empty when the system's libraries are used
}

// Env is the environment that the programs need: the test's own with LC_ALL=C, and without any PG* variable that would redirect a client.
func (p Programs) Env() []string {
	env := cleanEnv()
	if p.Lib != "" {
		env = append(env, "LD_LIBRARY_PATH="+p.Lib)
	}
	return env
}

func cleanEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG") ||
			strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "LD_LIBRARY_PATH=")
	})
	return append(env, "LC_ALL=C", "HOME="+os.TempDir())
}

var found sync.Map // int → func() (Programs, error)

// FindPrograms finds or downloads the server programs of a major version. The error says what is missing and what was tried.
func FindPrograms(major int) (Programs, error) {
	once, _ := found.LoadOrStore(major, sync.OnceValues(func() (Programs, error) {
		bin := fmt.Sprintf("/usr/lib/postgresql/%d/bin", major)
		if _, err := os.Stat(filepath.Join(bin, "initdb")); err == nil {
			return Programs{Major: major, Bin: bin}, nil
		}
		p, err := downloadPrograms(major)
		if err != nil {
			return Programs{}, fmt.Errorf("PostgreSQL %d is not in %s, and cannot be downloaded: %w", major, bin, err)
		}
		return p, nil
	}))
	return once.(func() (Programs, error))()
}

// Need returns the server programs of a major version; the test is skipped where they cannot be had.
func Need(t testing.TB, major int) Programs {
	t.Helper()
	p, err := FindPrograms(major)
	if err != nil {
		t.Skip(err)
	}
	return p
}

// Tool is the path of a PostgreSQL client program (psql, pgbench, pg_basebackup, pg_verifybackup, pg_waldump …) of the newest major that the
// distribution has installed; the test is skipped where there is none.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, _ := findTool(name)
	if path == "" {
		t.Skipf("%s is not in /usr/lib/postgresql/*/bin: install postgresql and postgresql-client", name)
	}
	return path
}

// ToolMajor is the major version of what Tool gives; 0 when there is none.
func ToolMajor(name string) int {
	_, major := findTool(name)
	return major
}

func findTool(name string) (path string, major int) {
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	for _, p := range paths {
		v, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		if err == nil && v > major {
			path, major = p, v
		}
	}
	return path, major
}
