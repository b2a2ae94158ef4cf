package checkpoint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/messages"
	"polarcast/stages/checkpoint"
	"polarcast/testenv"
)

// A PolarDB on PFS is up many seconds after it has written its pid file: the directory is then known by the server's processes. One of another server
// on another host has the times and processes of that.
func TestLocalDirOfSlowStart(t *testing.T) {
	s := testenv.Start(t, 15, testenv.Options{})
	conn := s.Conn("postgres").PgConn()
	name := filepath.Join(s.Value("SHOW data_directory"), "postmaster.pid")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, c := range []struct {
		pid string
		ok  bool
	}{{lines[0], true}, {fmt.Sprint(os.Getpid()), false}} {
		t.Cleanup(func() { os.WriteFile(name, text, 0o600) })
		other := strings.Join(append([]string{c.pid, lines[1], "1"}, lines[3:]...), "\n")
		if err := os.WriteFile(name, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		if dir, err := checkpoint.LocalDir(t.Context(), conn, &messages.Prepared{}); (err == nil) != c.ok {
			t.Errorf("started by process %s: %q, %v", c.pid, dir, err)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
