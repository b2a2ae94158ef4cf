package main_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"polarcast/testenv"
)

// The run is killed at random moments, again and again; after each kill the same command is run again, until one comes to its end. That copy must
// be right, whatever the moments were. The seed is printed: set it below to see a failure again.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	rounds := 3
	if soak() {
		rounds = 20
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	s := testenv.Start(t, 15, testenv.Options{Conf: "wal_keep_size = 1GB\n"})
	filler(s, 24)
	space := s.Tablespace("aside")
	s.Exec("CREATE TABLE there TABLESPACE aside AS SELECT g, repeat('x', 100) AS v FROM generate_series(1, 20000) g")
	s.LoadTPCB(1, 2000)
	for round := range rounds {
		sig := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT}[round%4]
		dir, to := newDir(t), newDir(t)
		args := []string{"-v", "-r", "16M", "-D", dir, "-T", space + "=" + to}
		if round%2 == 0 {
			args = append(args, "--source=stream")
		}
		load := s.StartTPCB(1)
		load.WaitCommitted(5)
		killed, done := 0, false
		for !done {
			p := start(t, s, args...)
			after := time.Duration(random.Int64N(int64(3 * time.Second)))
			if killed == 4 {
				after = generous // let it come to its end
			}
			timer := time.AfterFunc(after, func() { p.Signal(sig) })
			code := p.Wait(generous)
			timer.Stop()
			p.NoSurvivors()
			if strings.Contains(p.Stderr(), "panic") {
				t.Fatalf("round %d: it crashed\n%s", round, p.Stderr())
			}
			if done = code == 0; done {
				break
			}
			if killed++; killed > 4 {
				t.Fatalf("round %d: the last run was not killed and has exit status %d\n%s", round, code, p.Stderr())
			}
			if sig != syscall.SIGKILL && code != 1 && code != 128+int(sig) {
				t.Fatalf("round %d: exit status %d after %v\n%s", round, code, sig, p.Stderr())
			}
			if complete(dir) { // it was in its last steps: then nothing may be missing
				verify(t, s, dir, "-i", ".polarcast")
			}
		}
		load.Stop()
		s.NoBackupLeft()
		check(t, s, dir)
		c := testenv.StartCopy(t, 15, dir, testenv.Primary, testenv.CopyOptions{})
		c.CheckTPCB()
		if got, want := c.Value("SELECT count(*) || md5(string_agg(v, '' ORDER BY id)) FROM filler"),
			s.Value("SELECT count(*) || md5(string_agg(v, '' ORDER BY id)) FROM filler"); got != want {
			t.Errorf("round %d: filler is %s, want %s", round, got, want)
		}
		if got := c.Value("SELECT count(*) FROM there"); got != "20000" {
			t.Errorf("round %d: %s rows in the tablespace", round, got)
		}
		c.Stop(testenv.Immediate)
		t.Logf("round %d: %v %d times", round, sig, killed)
		_, _ = os.RemoveAll(dir), os.RemoveAll(to)
	}
}

// complete says whether the copy has all that a server needs.
func complete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "global", "pg_control"))
	return err == nil
}

// The run ended, but its marker is still there: the same command tidies up, and does not copy anything again.
func TestKilledBeforeTheMarkerIsRemoved(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	dir, file := newDir(t), filepath.Join(testenv.Dir(t), "report.json")
	var p *testenv.Process
	for range 20 { // the moment is short: stop the process when pg_control has its name
		p = start(t, s, stream("-D", dir)...)
		for !complete(dir) && !p.Ended() {
			time.Sleep(200 * time.Microsecond)
		}
		p.KillOnly()
		p.Wait(generous)
		if _, err := os.Stat(filepath.Join(dir, ".polarcast")); err == nil {
			break
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".polarcast")); err != nil {
		t.Skip("the moment was not met")
	}
	fi, err := os.Stat(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	must(t, s, stream("-v", "-D", dir, "--report", file)...)
	check(t, s, dir)
	if now, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil || !now.ModTime().Equal(fi.ModTime()) {
		t.Errorf("PG_VERSION was written again: %v", err)
	}
	if r := report(t, file); !r.OK || !r.Continued || r.Session != 1 {
		t.Errorf("report %+v", r)
	}
	same(t, s, dir, testenv.CopyOptions{})
}
