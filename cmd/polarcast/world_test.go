package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"polarcast/internal/polarcast"
	"polarcast/pipeline"
	"polarcast/testenv"
)

// world is a server, a NATS server, and backups from one to the directories of the other's clients.
type world struct {
	t    *testing.T
	pg   *testenv.Server
	nats string // URL
	bin  string
	dir  string
	link *testenv.Proxy // before the server

	again map[string][]int64 // by cause, how much of the data was sent again after lost sessions, in percent
}

const (
	testMajor = 15
	backupEnd = 3 * time.Minute // well after anything that works is done
)

// newWorld makes a server with so many MB of tables, of which half can be compressed.
func newWorld(t *testing.T, mb int, nats string) *world {
	t.Helper()
	w := &world{t: t, again: map[string][]int64{}, bin: testenv.Binary(t, "polarcast"), dir: testenv.Dir(t), nats: nats}
	w.pg = testenv.Start(t, testMajor, testenv.Options{Checksums: true, Conf: "max_wal_senders = 20\nmax_replication_slots = 20\nwal_keep_size = 64MB\n"})
	w.pg.LoadTPCB(1, 5000)
	w.pg.Exec("CREATE TABLE noise (id int PRIMARY KEY, a text, b text)",
		fmt.Sprintf("INSERT INTO noise SELECT i, string_agg(md5(random()::text), ''), repeat(md5(i::text), 30) FROM generate_series(1, %d) i, generate_series(1, 30) j GROUP BY i", mb*500),
		"CHECKPOINT")
	if nats == "" {
		w.nats = testenv.StartNATS(t, testenv.NATSOptions{}).URL()
	}
	w.link = w.pg.Proxy()
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) start(args ...string) *testenv.Process {
	w.t.Helper()
	return testenv.StartProcess(w.t, testenv.ProcessOptions{Env: append(testenv.Need(w.t, testMajor).Env(), "NATS_URL="+w.nats, "HOME="+w.dir, "POLARCAST_PG_CTL="+w.ctl())}, w.bin, args...)
}

func (w *world) ctl() string { return filepath.Join(testenv.Need(w.t, testMajor).Bin, "pg_ctl") }

// stopNode stops a server that --start has started.
func (w *world) stopNode(name string) {
	testenv.Run(w.t, testenv.ProcessOptions{Env: testenv.Need(w.t, testMajor).Env()}, w.ctl(), "-D", w.path(name), "-m", "immediate", "stop")
}

// run runs a command to its end and returns what it wrote to standard output.
func (w *world) run(code int, args ...string) string {
	w.t.Helper()
	p := w.start(args...)
	if got := p.Wait(backupEnd); got != code {
		w.t.Fatalf("polarcast %s ended with %d, want %d:\n%s%s", strings.Join(args, " "), got, code, p.Stdout(), p.Stderr())
	}
	return p.Stdout()
}

// refused runs a command that must fail, with a message that has all these parts.
func (w *world) refused(parts []string, args ...string) {
	w.t.Helper()
	p := w.start(args...)
	code := p.Wait(backupEnd)
	for _, part := range parts {
		if code != 1 || !strings.Contains(p.Stderr(), part) {
			w.t.Errorf("polarcast %s ended with %d, want 1 and a message with %q:\n%s", strings.Join(args, " "), code, part, p.Stderr())
		}
	}
	if lines := strings.Count(p.Stderr(), ": error: "); lines != 1 {
		w.t.Errorf("polarcast %s: %d errors, want one:\n%s", strings.Join(args, " "), lines, p.Stderr())
	}
}

// source are the connection options, through the proxy.
func (w *world) source() []string {
	return []string{"-h", "127.0.0.1", "-p", fmt.Sprint(w.link.Port), "-U", "postgres", "-d", "connect_timeout=10"}
}

// sendArgs are the arguments of a sender of a kind ("send", "stage wal"), for a backup.
func (w *world) sendArgs(kind, backup string, more ...string) []string {
	args := append(strings.Fields(kind), "--backup", backup, "-v", "--tmpdir", w.dir)
	if (kind == "send" || kind == "stage checkpoint") && !slices.ContainsFunc(more, func(o string) bool {
		return strings.HasPrefix(o, "--source") || strings.HasPrefix(o, "--read") || strings.HasPrefix(o, "--stitch")
	}) {
		args = append(args, "--source=stream") // here the files could be read where they are
	}
	return append(append(args, w.source()...), more...)
}

func (w *world) send(backup string, more ...string) *testenv.Process {
	w.t.Helper()
	return w.start(w.sendArgs("send", backup, append([]string{"-c", "fast"}, more...)...)...)
}

func (w *world) receiveArgs(kind, backup, target string, more ...string) []string {
	args := append(strings.Fields(kind), "--backup", backup, "--target", target, "-D", w.path(backup+"-"+target), "-v")
	return append(args, more...)
}

func (w *world) receive(backup, target string, more ...string) *testenv.Process {
	w.t.Helper()
	return w.start(w.receiveArgs("receive", backup, target, more...)...)
}

// done waits for processes, which must all end well.
func (w *world) done(ps ...*testenv.Process) {
	w.t.Helper()
	for _, p := range ps {
		if code := p.Wait(backupEnd); code != 0 {
			w.t.Fatalf("%s ended with %d:\n%s", p.Command, code, p.Stderr())
		}
	}
}

// client is a connection of the test itself.
func (w *world) client() *pipeline.Client {
	w.t.Helper()
	c, err := pipeline.Connect(w.t.Context(), pipeline.ClientOptions{URLs: strings.Split(w.nats, ",")})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) state(c *pipeline.Client, backup string) pipeline.State {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	st, err := c.Log(backup).State(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// until waits for a state of a backup.
func (w *world) until(c *pipeline.Client, backup, what string, cond func(pipeline.State) bool) pipeline.State {
	w.t.Helper()
	for end := time.Now().Add(backupEnd); ; time.Sleep(20 * time.Millisecond) {
		st := w.state(c, backup)
		if cond(st) {
			return st
		}
		if time.Now().After(end) {
			w.t.Fatalf("backup %s: never %s", backup, what)
		}
	}
}

func (w *world) status(backup string) polarcast.Status {
	w.t.Helper()
	var s polarcast.Status
	if err := json.Unmarshal([]byte(w.run(0, "status", backup, "--json")), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// same verifies a target and starts it: its tables must be those of the server.
func (w *world) same(backup, target string, want map[string]string) {
	w.t.Helper()
	dir := w.path(backup + "-" + target)
	w.run(0, "verify", dir)
	s := testenv.StartCopy(w.t, testMajor, dir, testenv.Primary, testenv.CopyOptions{})
	testenv.SameData(w.t, s.TableChecksums("postgres"), want)
	s.Stop(testenv.Immediate)
}

// nothingLeft fails the test when NATS holds something of a backup. Its event log may stay.
func (w *world) nothingLeft(backup string, log bool) {
	w.t.Helper()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	w.answered(func(ctx context.Context) error {
		all := js.StreamNames(ctx)
		names = names[:0]
		for n := range all.Name() {
			names = append(names, n)
		}
		return all.Err()
	})
	for _, n := range names {
		if strings.HasSuffix(n, "_"+backup) {
			w.t.Errorf("stream %s is left", n)
		}
	}
	for _, name := range []string{"POLARCAST_EVENTS", "KV_POLARCAST_LEASES"} {
		var info *jetstream.StreamInfo
		w.answered(func(ctx context.Context) error {
			s, err := js.Stream(ctx, name)
			if err != nil {
				return err
			}
			info, err = s.Info(ctx, jetstream.WithSubjectFilter(">"))
			return err
		})
		for subject := range info.State.Subjects {
			if strings.Contains(subject, "."+backup) && !log {
				w.t.Errorf("stream %s holds %s", name, subject)
			}
		}
	}
}

// answered makes a request of JetStream until it is answered: a cluster whose server has just come back joins its routes anew, and loses requests and answers
// that are on them.
func (w *world) answered(request func(ctx context.Context) error) {
	w.t.Helper()
	w.pg.Eventually("an answer of JetStream", func() (bool, error) {
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
		defer cancel()
		err := request(ctx)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			w.t.Fatal(err)
		}
		return err == nil, err
	})
}
