package docs

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"polarcast/testenv"
)

const commandEnd = 5 * time.Minute // well after anything that works is done

// reader is somebody who follows the README: the hosts that it names are this machine, and its directory /srv is one of the test.
type reader struct {
	t          *testing.T
	pg         *testenv.Server
	dir        string
	env        []string
	hosts      *strings.Replacer
	background []*testenv.Process
}

func newReader(t *testing.T) *reader {
	r := &reader{t: t, dir: testenv.Dir(t), pg: testenv.Start(t, 15, testenv.Options{Checksums: true})}
	r.pg.LoadTPCB(1, 5000)
	bin := filepath.Join(r.dir, "bin")
	srv := filepath.Join(r.dir, "srv")
	for _, d := range []string{bin, srv} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"polar_basebackup", "polarcast"} {
		if err := os.Symlink(testenv.Binary(t, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	// A server that the reader starts on another host is one on this machine, so it needs a port of its own.
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *start*) ;; *) exec %[1]s \"$@\";; esac\n"+
		"port=$(cat %[2]s/port); echo $((port + 1)) >%[2]s/port\n"+
		"exec %[1]s -o \"-c port=$port -c unix_socket_directories=%[2]s -c listen_addresses=\" \"$@\"\n", filepath.Join(testenv.Need(t, 15).Bin, "pg_ctl"), r.dir)
	r.write(filepath.Join(bin, "pg_ctl"), script, 0o755)
	r.write(filepath.Join(r.dir, "port"), fmt.Sprint(5433), 0o644) // in a directory of its own: no port of the machine
	testenv.Own(t, r.dir)
	nats := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	r.hosts = strings.NewReplacer("-h db1", "-h 127.0.0.1", "0.0.0.0:4222", nats, "nats1:4222", nats, "/srv", srv,
		"--set=port=5433", fmt.Sprintf("--set=port=%d --set=unix_socket_directories=%s", freePort(t), r.dir))
	r.env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), fmt.Sprintf("PGPORT=%d", r.pg.Port), "PGSSLMODE=disable", "HOME=" + r.dir}
	t.Cleanup(r.stop)
	return r
}

func (r *reader) write(name, text string, mode os.FileMode) {
	r.t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (r *reader) start(text string) *testenv.Process {
	r.t.Helper()
	return testenv.StartProcess(r.t, testenv.ProcessOptions{Env: r.env, Dir: r.dir}, "bash", "-euo", "pipefail", "-c", r.hosts.Replace(text))
}

// do does what a block says.
func (r *reader) do(b block) {
	r.t.Helper()
	began := time.Now()
	defer func() { r.t.Logf("%s:%d took %s", b.file, b.line, time.Since(began).Round(time.Millisecond)) }()
	first := b.commands()[0]
	switch {
	case first[0] == "make", first[0] == "docker", b.kind == "parsed":
		return // checked elsewhere: tests that run the tests never end
	case b.kind == "background":
		p := r.start("exec " + b.text)
		if first[1] == "server" {
			p.WaitOutput("nats://")
		}
		r.background = append(r.background, p)
	case b.kind == "run":
		p := r.start(b.text)
		if code := p.Wait(commandEnd); code != 0 {
			r.t.Fatalf("%s:%d ended with %d:\n%s\n%s%s", b.file, b.line, code, b.text, p.Stdout(), p.Stderr())
		}
		if first[1] == "send" {
			r.settled()
		}
	default:
		r.t.Fatalf("%s:%d: blocks are not checked by %q", b.file, b.line, b.kind)
	}
}

// settled waits for what runs in the background; all but the server must have come to a good end.
func (r *reader) settled() {
	r.t.Helper()
	var left []*testenv.Process
	for _, p := range r.background {
		if strings.Contains(p.Command, "polarcast server") {
			left = append(left, p)
			continue
		}
		if code := p.Wait(commandEnd); code != 0 {
			r.t.Fatalf("%s ended with %d:\n%s", p.Command, code, p.Stderr())
		}
	}
	r.background = left
}

// stop stops the servers that were started.
func (r *reader) stop() {
	dirs, _ := filepath.Glob(filepath.Join(r.dir, "srv", "*", "postmaster.pid"))
	for _, d := range dirs {
		testenv.Run(r.t, testenv.ProcessOptions{Env: r.env}, "bash", "-c", "pg_ctl -D "+filepath.Dir(d)+" -m immediate -w stop")
	}
}

// Whoever types what the README shows gets what it promises.
func TestReadme(t *testing.T) {
	r := newReader(t)
	all := blocks(t, "../README.md")
	if first := all[0].commands(); first[0][1] != "demo" || first[1][1] != "test" {
		t.Errorf("the first commands are %q, not make demo and make test", first)
	}
	for _, b := range all {
		r.do(b)
	}
	streaming := "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
	r.pg.Eventually("the three servers that the README starts follow", func() (bool, error) {
		n, err := r.pg.TryValue("postgres", streaming)
		return n == "3", err
	})
	for _, target := range []string{"b", "c", "d"} {
		if code := r.start("polarcast verify /srv/" + target).Wait(commandEnd); code != 0 {
			t.Errorf("target %s is not what its manifest says", target)
		}
	}
	for _, p := range r.background { // NATS
		p.Signal(syscall.SIGTERM)
		if code := p.Wait(commandEnd); code != 0 {
			t.Errorf("%s ended with %d", p.Command, code)
		}
	}
	r.settled()
}
