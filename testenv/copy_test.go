package testenv

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// baseBackup copies a server with the distribution's pg_basebackup; the oldest server that it can read is one of majors.
func baseBackup(t *testing.T, s *Server, args ...string) string {
	t.Helper()
	dir := filepath.Join(Dir(t), "copy")
	cmd := exec.Command(Tool(t, "pg_basebackup"), append([]string{"-D", dir, "-d", s.ConnString(), "-c", "fast", "-N"}, args...)...)
	cmd.SysProcAttr = sysProcAttr(syscall.SIGKILL)
	cmd.Dir = filepath.Dir(dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	return dir
}

func TestACopyUnderLoadFollowsAndHoldsTheSameData(t *testing.T) {
	major := ToolMajor("pg_basebackup")
	if major == 0 {
		t.Skip("pg_basebackup is not installed")
	}
	s := Start(t, major, Options{})
	s.LoadTPCB(2, 1000)
	tpcb, ddl := s.StartTPCB(2), s.StartDDL(1)
	tpcb.WaitCommitted(20)
	ddl.WaitCommitted(2)
	dir := baseBackup(t, s, "-C", "-S", "follower") // checkpoints of the load take away WAL that no slot holds
	standby := StartCopy(t, major, dir, Standby, CopyOptions{Primary: s, Slot: "follower"})
	standby.Streaming()
	tpcb.Stop()
	ddl.Stop()
	standby.CaughtUp(s)
	want := s.TableChecksums()
	if want["postgres.public.pgbench_accounts"] == "" || want["postgres"] == "" {
		t.Fatalf("the tables are missing from the checksums: %v", want)
	}
	SameData(t, standby.TableChecksums(), want)
	standby.Promote()
	standby.CheckTPCB()
	standby.Integrity()
	standby.Exec("DELETE FROM pgbench_history")
	f := &failures{TB: t}
	SameData(f, standby.TableChecksums(), want)
	if !f.failed {
		t.Error("a difference between two servers was not seen")
	}
}

// failures takes note of failures instead of failing.
type failures struct {
	testing.TB
	failed bool
}

func (f *failures) Errorf(string, ...any) { f.failed = true }
func (f *failures) Error(...any)          { f.failed = true }
