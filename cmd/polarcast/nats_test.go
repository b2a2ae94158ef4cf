package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/testenv"
)

// outageRound takes a backup to two targets during which something breaks at a random moment, and is mended.
func (w *world) outageRound(c *pipeline.Client, round int, rng *rand.Rand, want map[string]string, outage func() string, send ...string) {
	w.t.Helper()
	backup := fmt.Sprintf("outage%d", round)
	ps := []*testenv.Process{w.send(backup, append([]string{"--target", "a,b", "-r", "12M"}, send...)...), w.receive(backup, "a"), w.receive(backup, "b")}
	w.until(c, backup, "requested", func(st pipeline.State) bool { return st.Requested != nil })
	moment := time.Duration(rng.Int64N(int64(3 * time.Second)))
	time.Sleep(moment)
	what := outage()
	w.done(ps...)
	w.account(c, backup, what, fmt.Sprintf("round %d, %s after %v", round, what, moment))
	for _, target := range []string{"a", "b"} {
		w.same(backup, target, want)
		if err := os.RemoveAll(w.path(backup + "-" + target)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.nothingLeft(backup, true)
}

func TestAKilledNATSServerComesBackWithItsStore(t *testing.T) {
	t.Parallel()
	n := testenv.StartNATS(t, testenv.NATSOptions{})
	w := newWorld(t, 12, n.URL())
	want := w.pg.TableChecksums("postgres")
	c, rng := w.client(), seed(t)
	for round := range rounds(2) {
		w.outageRound(c, round, rng, want, func() string {
			n.Kill()
			time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
			n.Start()
			return "NATS killed"
		})
	}
	w.pg.NoBackupLeft()
}

func TestACutLinkToTheServerOrToNATS(t *testing.T) {
	t.Parallel()
	n := testenv.StartNATS(t, testenv.NATSOptions{})
	link := testenv.StartProxy(t, "tcp", fmt.Sprintf("127.0.0.1:%d", n.Port))
	w := newWorld(t, 12, "nats://"+link.Addr())
	want := w.pg.TableChecksums("postgres")
	c, rng := w.client(), seed(t)
	ways := []func() string{
		func() string { w.link.Cut(); return "link to PostgreSQL cut" },
		func() string { link.Cut(); return "link to NATS cut" },
		func() string {
			link.Pause()
			time.Sleep(2 * time.Second)
			link.Resume()
			return "link to NATS stood still"
		},
		func() string { w.link.HalfClose(); return "link to PostgreSQL half closed" },
		func() string {
			link.Refuse(true)
			link.Cut()
			time.Sleep(time.Second)
			link.Refuse(false)
			return "NATS could not be reached"
		},
	}
	total := rounds(3)
	for round := range total {
		w.outageRound(c, round, rng, want, ways[round%len(ways)])
	}
	w.littleAgain(func(string) {
		for _, way := range ways {
			w.outageRound(c, total, rng, want, way)
			total++
		}
	})
	w.pg.NoBackupLeft()
}

func TestAnOutageOfNATSThatIsLongerThanALease(t *testing.T) {
	t.Parallel()
	n := testenv.StartNATS(t, testenv.NATSOptions{})
	w := newWorld(t, 4, n.URL())
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	send, receive := w.send("out", "--target", "a", "-r", "2M"), w.receive("out", "a")
	w.until(c, "out", "a is written", func(st pipeline.State) bool { return st.Targets["a"].Opened != nil })
	n.Kill()
	time.Sleep(stages.LeaseTTL + 2*time.Second)
	n.Start()
	w.done(send, receive)
	w.same("out", "a", want)
	w.pg.NoBackupLeft()
}

func TestOneOfThreeNATSServersIsKilled(t *testing.T) {
	t.Parallel()
	nodes := testenv.StartNATSCluster(t, 3, testenv.NATSOptions{})
	w := newWorld(t, 12, testenv.URLs(nodes))
	want := w.pg.TableChecksums("postgres")
	c, rng := w.client(), seed(t)
	for round := range rounds(1) {
		w.outageRound(c, round, rng, want, func() string {
			i := rng.IntN(len(nodes))
			nodes[i].Kill()
			time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
			nodes[i].Start()
			return fmt.Sprintf("NATS server %d of 3 killed", i+1)
		}, "--replicas", "3")
	}
	w.pg.NoBackupLeft()
}

// Commands that are started while a cluster elects its leader wait for it, as those that are under way do.
func TestCommandsStartWhileTheClusterHasNoLeader(t *testing.T) {
	t.Parallel()
	nodes := testenv.StartNATSCluster(t, 3, testenv.NATSOptions{})
	w := newWorld(t, 1, nodes[0].URL())
	want := w.pg.TableChecksums("postgres")
	nodes[1].Kill()
	nodes[2].Kill()
	ps := []*testenv.Process{w.send("early", "--target", "a", "--replicas", "3"), w.receive("early", "a")}
	time.Sleep(8 * time.Second) // a leader that has lost the others steps down within this time
	for _, p := range ps {
		if p.Ended() {
			t.Fatalf("it did not wait, and ended with code %d: %s", p.ExitCode(), p.Stderr())
		}
	}
	nodes[1].Start()
	nodes[2].Start()
	w.done(ps...)
	w.same("early", "a", want)
	w.pg.NoBackupLeft()
}
