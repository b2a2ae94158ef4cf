package polardouble

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"polarcast/testenv"
)

// TestPolarBasebackupMakesNodesThatStart runs this project's own program against the double, under a write load, and starts what it made.
func TestPolarBasebackupMakesNodesThatStart(t *testing.T) {
	program := testenv.Binary(t, "polar_basebackup")
	for _, major := range []int{11, 15} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			s := testenv.Start(t, major, testenv.Options{Checksums: true})
			s.LoadTPCB(1, 1000)
			load := s.StartTPCB(1)
			load.WaitCommitted(10)
			for _, c := range []struct {
				name, wal string
				major     int // where an ordinary run does it; 0: in a soak only, cmd/polar_basebackup has its like
				opts      Options
			}{
				{"local stream", "stream", 11, Options{}},
				{"PFS fetch", "fetch", 0, Options{PFS: true}},
				{"cut and continued", "stream", 15, Options{Faults: Faults{CutAfter: 12 << 20, Hold: time.Second}}},
			} {
				if c.major != major && !testenv.Soak() {
					continue
				}
				t.Run(c.name, func(t *testing.T) { copyAndStart(t, program, s, c.wal, c.opts) })
			}
			load.Stop()
		})
	}
}

func copyAndStart(t *testing.T, program string, s *testenv.Server, wal string, opts Options) {
	d := Start(t, s, opts)
	dir := testenv.Dir(t)
	local, shared := filepath.Join(dir, "local"), filepath.Join(dir, "shared")
	run := func() *testenv.Process {
		p := testenv.Run(t, testenv.ProcessOptions{}, program,
			"-D", local, "--polardata", shared, "-d", d.ConnString(), "-X", wal, "-c", "fast", "-v")
		p.NoSurvivors()
		return p
	}
	p := run()
	if opts.Faults.CutAfter > 0 && p.ExitCode() != 0 {
		// The new session starts in a later segment: what was captured of the earlier ones belongs to nothing any more.
		s.Exec("SELECT pg_switch_wal()", "SELECT txid_current()", "SELECT pg_switch_wal()")
		p = run()
	}
	if p.ExitCode() != 0 {
		t.Fatalf("exit code %d: %s", p.ExitCode(), p.Stderr())
	}
	s.NoBackupLeft()
	Merge(t, local, shared, filepath.Join(dir, "merged"))
	node := testenv.StartCopy(t, s.Major, filepath.Join(dir, "merged"), testenv.Primary, testenv.CopyOptions{})
	node.CheckTPCB()
	node.Integrity()
}
