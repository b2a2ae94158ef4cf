package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// command is a command with flags of the usual kinds.
type command struct {
	Config
	fs      *pflag.FlagSet
	backup  string
	targets []string
	set     []string
	jobs    int
	start   bool
	keep    time.Duration
}

func newCommand(t *testing.T, file string, env map[string]string, args ...string) *command {
	t.Helper()
	c := &command{fs: pflag.NewFlagSet("x", pflag.ContinueOnError)}
	c.LookupEnv = lookupIn(env)
	c.Register(c.fs)
	c.fs.StringVar(&c.backup, "backup", "none", "")
	c.fs.StringSliceVar(&c.targets, "target", nil, "")
	c.fs.StringArrayVar(&c.set, "set", nil, "")
	c.fs.IntVar(&c.jobs, "max-jobs", 1, "")
	c.fs.BoolVar(&c.start, "start", false, "")
	c.fs.DurationVar(&c.keep, "keep", 0, "")
	if file != "" {
		path := filepath.Join(t.TempDir(), "polarcast.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config="+path)
	}
	if err := c.fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *command) String() string {
	return fmt.Sprintf("%s %v %v %d %v %v", c.backup, c.targets, c.set, c.jobs, c.start, c.keep)
}

func TestConfigApply(t *testing.T) {
	for _, c := range []struct {
		name, file string
		env        map[string]string
		args       []string
		want       string
	}{
		{"defaults", "", nil, nil, "none [] [] 1 false 0s"},
		{"empty file", "# nothing\n", nil, nil, "none [] [] 1 false 0s"},
		{"file", "backup: nightly\ntarget: [a, b]\nset:\n  - port=5433\n  - x=a,b\nmax-jobs: 4\nstart: true\nkeep: 1h\n", nil, nil, "nightly [a b] [port=5433 x=a,b] 4 true 1h0m0s"},
		{"one for a list", "target: a\nset: x=a,b\n", nil, nil, "none [a] [x=a,b] 1 false 0s"},
		{"anchors", "backup: &n abc\ntarget: [*n, c]\n", nil, nil, "abc [abc c] [] 1 false 0s"},
		{"environment", "", map[string]string{"POLARCAST_BACKUP": "env", "POLARCAST_MAX_JOBS": "3", "POLARCAST_TARGET": "a,b", "POLARCAST_KEEP": ""}, nil, "env [a b] [] 3 false 0s"},
		{"environment over file", "backup: file\nmax-jobs: 4\ntarget: [f]\n", map[string]string{"POLARCAST_BACKUP": "env", "POLARCAST_TARGET": "e"}, nil, "env [e] [] 4 false 0s"},
		{"flags over all", "backup: file\nmax-jobs: 4\ntarget: [f]\nstart: true\n", map[string]string{"POLARCAST_BACKUP": "env", "POLARCAST_TARGET": "e"},
			[]string{"--backup=flag", "--target=g", "--start=false"}, "flag [g] [] 4 false 0s"},
	} {
		cmd := newCommand(t, c.file, c.env, c.args...)
		if err := cmd.Apply(cmd.fs); err != nil || cmd.String() != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, cmd, err, c.want)
		}
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("backup: file\nother: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := newCommand(t, "", map[string]string{"POLARCAST_CONFIG": path})
	cmd.Known = func(name string) bool { return name == "other" }
	if err := cmd.Apply(cmd.fs); err != nil || cmd.backup != "file" {
		t.Errorf("got %s, %v", cmd, err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		file string
		env  map[string]string
		want string
	}{
		{"backup: a\ntargets: [a]\n", nil, `line 2: there is no option "--targets"`},
		{"backup: a\nbackup: b\n", nil, `key "backup" stands there twice`},
		{"\nbackup: [a]\n", nil, `line 2: "backup" takes one value, not a list`},
		{"backup: {a: b}\n", nil, `line 1: the value of "backup" must be a word, a number, or a list of them`},
		{"backup:\n", nil, `line 1: "backup" has no value`},
		{"target: [[a]]\n", nil, `line 1: "target" has no value`},
		{"max-jobs: many\n", nil, "line 1: invalid value for --max-jobs"},
		{"start: perhaps\n", nil, "line 1: invalid value for --start"},
		{"config: x\n", nil, `"config" cannot stand in a configuration file`},
		{"- a\n", nil, `line 1: expected "option: value" lines`},
		{"[a]: b\n", nil, "a key must be the name of an option"},
		{"a: [\n", nil, "did not find expected node content"},
		{"# " + strings.Repeat("x", maxConfig), nil, "the most is 1048576"},
		{"", map[string]string{"POLARCAST_MAX_JOBS": "x"}, "environment variable POLARCAST_MAX_JOBS: invalid value for --max-jobs"},
		{"", map[string]string{"POLARCAST_CONFIG": "/nowhere/x.yaml"}, "could not read the configuration file: stat /nowhere/x.yaml"},
	} {
		cmd := newCommand(t, c.file, c.env)
		if err := cmd.Apply(cmd.fs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %q", c.file, err, c.want)
		}
	}
}
