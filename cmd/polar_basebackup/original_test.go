package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"polarcast/testenv"
)

// What goes wrong is told as the installed pg_basebackup tells it, with the same exit status.
func TestErrorsOfTheOriginal(t *testing.T) {
	original := testenv.Tool(t, "pg_basebackup")
	major := testenv.ToolMajor("pg_basebackup")
	s := testenv.Start(t, major, testenv.Options{
		Conf: "max_wal_senders = 2\nmax_replication_slots = 2\n",
		HBA:  "host all,replication secret 127.0.0.1/32 scram-sha-256\nhost all,replication nobody 127.0.0.1/32 reject\n",
	})
	s.Exec("CREATE ROLE plain LOGIN", "CREATE ROLE secret LOGIN REPLICATION PASSWORD 'right'", "CREATE ROLE nobody LOGIN REPLICATION",
		"SELECT pg_create_physical_replication_slot('taken')")
	full := testenv.Dir(t)
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(os.TempDir(), full) // programs run in os.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	port := s.PortString()
	for _, c := range []struct {
		name string
		env  []string
		args []string
	}{
		{"no server", nil, []string{"-h", "127.0.0.1", "-p", "1", "-U", "postgres"}},
		{"no socket", nil, []string{"-h", "/no/such/directory", "-U", "postgres"}},
		{"no host", nil, []string{"-h", "no-such-host.invalid", "-U", "postgres"}},
		{"no role", nil, []string{"-p", port, "-U", "stranger"}},
		{"not allowed", nil, []string{"-p", port, "-U", "plain"}},
		{"rejected", nil, []string{"-p", port, "-U", "nobody"}},
		{"no password", nil, []string{"-p", port, "-U", "secret", "-w"}},
		{"wrong password", []string{"PGPASSWORD=wrong"}, []string{"-p", port, "-U", "secret"}},
		{"slot exists", nil, []string{"-p", port, "-U", "postgres", "-C", "-S", "taken"}},
		{"no slot", nil, []string{"-p", port, "-U", "postgres", "--no-resume", "-S", "missing"}},
		{"directory in use", nil, []string{"-p", port, "-U", "postgres", "-D", full}},
		{"directory in use, as it was named", nil, []string{"-p", port, "-U", "postgres", "-D", relative}},
		{"directory below a file, as it was named", nil, []string{"-p", port, "-U", "postgres", "-D", relative + "/x/below"}},
		{"bad compression level", nil, []string{"-p", port, "-U", "postgres", "-Xnone", "-Z", "server-gzip:99"}},
		{"bad target", nil, []string{"-p", port, "-U", "postgres", "-Xnone", "--target", "moon"}},
		{"target without its directory", nil, []string{"-p", port, "-U", "postgres", "-Xnone", "--target", "server"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := func(program string) (int, []string) {
				args := slices.Clone(c.args)
				if program == original {
					args = slices.DeleteFunc(args, func(a string) bool { return a == "--no-resume" })
				}
				if !slices.Contains(args, "-h") {
					args = append(args, "-h", "127.0.0.1")
				}
				dir := ""
				if !slices.Contains(args, "-D") && !slices.Contains(args, "--target") {
					dir = newDir(t)
					args = append(args, "-D", dir)
				}
				p := testenv.Run(t, testenv.ProcessOptions{Env: c.env}, program, args...)
				code := p.Wait(generous)
				p.NoSurvivors()
				s.NoBackupLeft("taken") // the server allows two WAL senders, and those of a client that has gone end a moment later
				if dir != "" {
					untouched(t, dir, false)
				}
				return code, comparable(p.Stderr(), filepath.Base(program), dir)
			}
			wantCode, want := run(original)
			code, got := run(testenv.Binary(t, "polar_basebackup"))
			if wantCode == 0 {
				t.Fatal("the original does not fail")
			}
			if code != wantCode || !slices.Equal(got, want) {
				t.Errorf("exit status %d, the original %d\n--- ours\n%s\n--- original\n%s", code, wantCode, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	s.NoBackupLeft("taken")
}

var processID = regexp.MustCompile(`pg_basebackup_[0-9]+`)

// comparable is standard error without what must differ: the program's name, the directory, process ids. What is said about cleaning up is left out:
// how far a run came before the error differs.
func comparable(stderr, program, dir string) []string {
	var lines []string
	for _, l := range strings.Split(strings.TrimRight(stderr, "\n"), "\n") {
		l = strings.TrimPrefix(l, program+": ")
		if dir != "" {
			l = strings.ReplaceAll(l, dir, "DIR")
		}
		l = processID.ReplaceAllString(l, "SLOT")
		// The original's WAL receiver is a process of its own: its parent says that it ended.
		if !strings.HasPrefix(l, "removing ") && l != "error: background process terminated unexpectedly" {
			lines = append(lines, l)
		}
	}
	return lines
}

// There are not enough WAL senders for a backup with streamed WAL.
func TestNoWALSenderFree(t *testing.T) {
	t.Parallel()
	original := testenv.Tool(t, "pg_basebackup")
	s := testenv.Start(t, 15, testenv.Options{Conf: "max_wal_senders = 1\n"})
	dir := newDir(t)
	p := testenv.Run(t, testenv.ProcessOptions{}, original, "-h", "127.0.0.1", "-p", s.PortString(), "-U", "postgres", "-D", dir)
	want := "number of requested standby connections exceeds max_wal_senders (currently 1)"
	if p.Wait(generous) != 1 || !strings.Contains(p.Stderr(), want) {
		t.Fatalf("the original: %s", p.Stderr())
	}
	s.NoBackupLeft()
	fails(t, start(t, s, stream("-D", dir)...), want)
	untouched(t, dir, false)
	s.NoBackupLeft()
	must(t, s, stream("-D", dir, "-Xfetch")...)
	check(t, s, dir)
	s.NoBackupLeft()
}
