package stages_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/testenv"
)

// refusal is something that happens during a backup after which sessions must not be joined.
type refusal struct {
	majors []int // of an ordinary run
	lose   func(*stitched)
	why    string // part of what is said
}

// after does something, and terminates the session.
func after(do func(*testenv.Server)) func(*stitched) {
	return func(s *stitched) { do(s.srv); s.srv.Exec(kill) }
}

var refusals = map[string]refusal{
	"full_page_writes": {[]int{16}, after(func(srv *testenv.Server) {
		srv.Exec("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()", "CHECKPOINT", "ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()", "CHECKPOINT")
	}), "full_page_writes"},
	"tablespace": {[]int{12}, after(func(srv *testenv.Server) { srv.Tablespace("ts9"); srv.Exec("DROP TABLESPACE ts9") }), "tablespace"},
	"database": {[]int{14}, after(func(srv *testenv.Server) {
		if srv.Major >= 15 {
			srv.Exec("CREATE DATABASE d9 STRATEGY file_copy")
		} else {
			srv.Exec("CREATE DATABASE d9")
		}
	}), "created by copying files"},
	"full_page_writes off between two crashes": {[]int{13}, crashWithoutImages, "two shutdown checkpoints"},
	"WAL removed":            {[]int{17}, walRemoved, "could not be read"},
	"checksums switched off": {[]int{15}, checksumsOff, "checksum version"},
	// The WAL that says so is gone when another process takes over.
	"long ago": {[]int{18}, longAgo, "full_page_writes"},
}

// crashWithoutImages leaves no record that says so: the server is stopped, runs without full page images until it crashes, and with them again.
func crashWithoutImages(s *stitched) {
	s.kill()
	keep := "wal_keep_size = 1GB\n"
	if s.srv.Major < 13 {
		keep = "wal_keep_segments = 64\n"
	}
	s.srv.AppendConf(keep)
	s.srv.Stop(testenv.Fast)
	s.srv.AppendConf("full_page_writes = off\n")
	s.srv.Start()
	s.srv.Exec("UPDATE big SET b = b || 'y' WHERE a % 10 = 0")
	s.srv.Stop(testenv.Immediate)
	s.srv.AppendConf("full_page_writes = on\n")
	s.srv.Start()
	s.kill = s.checkpoint()
}

// walRemoved takes away WAL that was not looked through, as somebody does who makes room, once it was captured: the slot keeps it.
func walRemoved(s *stitched) {
	s.kill()
	s.srv.Exec("SELECT pg_switch_wal()")
	now := s.srv.LSN()
	s.srv.Eventually("the WAL is captured", func() (bool, error) {
		v, err := s.srv.TryValue("postgres", "SELECT count(*) FROM pg_stat_replication WHERE write_lsn >= '"+now+"'")
		return v == "1", err
	})
	if err := os.Remove(s.srv.Path("pg_wal/" + postgres.SegmentName(1, s.scanned(), segment))); err != nil {
		s.t.Fatal(err)
	}
	s.kill = s.checkpoint()
}

// longAgo does something that forbids it, and lets the server remove the WAL that says so: nobody needs to look at any of it again.
func longAgo(s *stitched) {
	s.srv.Exec("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()", "CHECKPOINT", "ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()", "CHECKPOINT")
	st := s.wait("the finding to be noted", func(st pipeline.State) bool {
		return st.Session().Scanned != nil && st.Session().Scanned.Reason != ""
	})
	s.letsGo(postgres.LSN(st.Session().Scanned.End) + 2*segment)
	s.restart()
}

// letsGo waits until the server has removed the WAL before an LSN.
func (s *stitched) letsGo(upTo postgres.LSN) {
	s.t.Helper()
	s.srv.Eventually("the server removes WAL before "+upTo.String(), func() (bool, error) {
		s.srv.Exec("SELECT pg_switch_wal()", "CHECKPOINT")
		names, err := os.ReadDir(s.srv.Path("pg_wal"))
		for _, e := range names {
			if _, start, err := postgres.ParseSegmentName(e.Name(), segment); err == nil && start < upTo.SegmentStart(segment) {
				return false, nil
			}
		}
		return true, err
	})
}

// checksumsOff switches the checksums off while the server is down.
func checksumsOff(s *stitched) {
	tool := testenv.Tool(s.t, "pg_checksums")
	if testenv.ToolMajor("pg_checksums") != s.srv.Major {
		s.t.Skipf("%s is not for version %d", tool, s.srv.Major)
	}
	s.srv.Stop(testenv.Fast)
	out, err := exec.Command(tool, "--disable", "-D", s.srv.Data).CombinedOutput()
	if err != nil {
		s.t.Fatalf("pg_checksums: %v\n%s", err, out)
	}
	testenv.Own(s.t, s.srv.Data)
	s.srv.Start()
}

// TestFilesStitchRefused does things during the backup after which sessions must not be joined: the backup says why, compares instead, and is right.
func TestFilesStitchRefused(t *testing.T) {
	t.Parallel()
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			testenv.SomeMajors(t, c.majors, func(t *testing.T, major int) {
				s := stitchRig(t, major, 60, false)
				c.lose(s)
				s.session(2)
				s.compares(s.rest(), c.why)
			})
		})
	}
}

// compares checks that a backup was not stitched, that somebody said why, and that it is right all the same.
func (s *stitched) compares(st pipeline.State, why string) {
	t := s.t
	t.Helper()
	cur := st.Session()
	if cur.Started.StitchedTo != 0 {
		t.Fatalf("session %d is stitched to %d", cur.Started.Session, cur.Started.StitchedTo)
	}
	if said := s.refusals(st); !strings.Contains(said, why) || said == "" {
		t.Errorf("it should be said that stitching was refused because %q; it is said: %q", why, said)
	}
	s.verify()
	c := testenv.StartCopy(t, s.srv.Major, s.dir, testenv.Standby, testenv.CopyOptions{Primary: s.srv})
	c.CaughtUp(s.srv)
	testenv.SameData(t, c.TableChecksums(), s.srv.TableChecksums())
	c.CheckTPCB()
}

// refusals are the reasons in the event log why sessions were not joined.
func (s *stitched) refusals(st pipeline.State) string {
	const mark = "stitching refused: "
	var all []string
	for _, l := range st.Sessions {
		if l.Lost != nil {
			if _, why, ok := strings.Cut(l.Lost.Error, mark); ok {
				all = append(all, why)
			}
		}
	}
	_ = s.env.Log().Events(s.ctx, 0, false, func(_ uint64, ev messages.Event) error {
		if _, why, ok := strings.Cut(string(ev.Data), mark); ok && ev.Type == messages.EventNote {
			all = append(all, why)
		}
		return nil
	})
	return strings.Join(all, "; ")
}
