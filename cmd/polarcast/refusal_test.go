package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"polarcast/pipeline"
	"polarcast/testenv"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "")
	c := w.client()
	other := w.path("other")
	w.otherSystem(other)
	send := w.send("good", "--target", "a,b")
	w.until(c, "good", "reading", reading)
	marked := w.path("marked")
	if err := os.MkdirAll(filepath.Join(marked, ".polarcast"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(marked, ".polarcast", "backup"), []byte("elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Own(t, marked)
	in := func(dir, target string) []string {
		return []string{"receive", "--backup", "good", "--target", target, "-D", dir}
	}
	w.pg.Exec("SELECT pg_create_physical_replication_slot('taken')")
	taken := append([]string{"-C", "-S", "taken"}, w.source()...)
	for _, r := range []struct {
		name string
		say  []string
		args []string
	}{
		{"target named twice", []string{`target "a" is named twice`}, w.sendArgs("send", "twice", "--target", "a,b", "--target", "a")},
		{"no target", []string{"--target"}, w.sendArgs("send", "none")},
		{"bad backup name", []string{"not allowed"}, w.sendArgs("send", "a.b", "--target", "a")},
		{"bad target name", []string{"not allowed"}, w.sendArgs("send", "x", "--target", "a/b")},
		{"lag beyond the buffer", []string{"--max-lag"}, w.sendArgs("send", "x", "--target", "a", "--max-lag", "2GB")},
		{"bad size", []string{"--buffer", "is not a size"}, w.sendArgs("send", "x", "--target", "a", "--buffer", "much")},
		{"replicas without a cluster", []string{"--replicas"}, w.sendArgs("send", "x", "--target", "a", "--replicas", "3")},
		{"slot without its name", []string{"--create-slot"}, w.sendArgs("send", "x", "--target", "a", "-C")},
		{"unknown target", []string{`no target "z"`, "--keep"}, in(w.path("z"), "z")},
		{"another system's directory", []string{"exists but is not empty", "system identifier", "and the backup is of another one"}, in(other, "a")},
		{"another backup's directory", []string{`belongs to the unfinished backup "elsewhere"`}, in(marked, "a")},
		{"no directory", []string{"must specify output directory"}, []string{"receive", "--backup", "good", "--target", "a"}},
		{"no way to the primary", []string{"-R needs"}, append(in(w.path("r"), "a"), "-R")},
		{"slot to create without its name", []string{"--create-slot needs a slot"}, append(in(w.path("r"), "a"), "-C", "-h", "127.0.0.1")},
		{"no way to the server of the slot", []string{"-C needs"}, append(in(w.path("r"), "a"), "-C", "-S", "taken")},
		{"slot that is there", []string{`replication slot "taken" already exists`, "leave out -C"}, w.receiveArgs("receive", "good", "a", taken...)},
		{"slot that is still there", []string{`replication slot "taken" already exists`}, w.receiveArgs("receive", "good", "a", taken...)},
		{"tar from an unordered backup", []string{"--tar"}, append(in(w.path("tar"), "a"), "-F", "t")},
		{"unknown backup", []string{"no such backup"}, []string{"cancel", "nobody"}},
		{"unknown command", []string{"unknown command"}, []string{"sned"}},
		{"unknown stage", []string{"no such stage"}, []string{"stage", "nothing"}},
		{"no NATS server", []string{"no NATS server answers"}, []string{"list", "--nats", "nats://127.0.0.1:1"}},
		{"no PostgreSQL server", []string{"refused"}, append(strings.Fields("send --backup x --target a -h 127.0.0.1 -p 1 -U postgres"), "-w")},
		{"verify of nothing", []string{"backup_manifest"}, []string{"verify", w.dir}},
		{"log format", []string{"--log-format"}, []string{"list", "--log-format", "xml"}},
	} {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			sub := *w
			sub.t = t
			sub.refused(r.say, r.args...)
		})
	}
	for _, dir := range []string{"z", "r", "tar", "good-a"} {
		if _, err := os.Stat(w.path(dir)); err == nil {
			t.Errorf("something was written into %s before it was refused", dir)
		}
	}
	a := w.receive("good", "a")
	w.until(c, "good", "a joined", func(st pipeline.State) bool { return st.Targets["a"].Opened != nil })
	w.refused([]string{"is served by host", "already"}, in(w.path("second"), "a")...)
	w.done(a, w.receive("good", "b"), send)
	for _, id := range []string{"twice", "none", "x"} {
		if st := w.state(c, id); st.Requested != nil {
			t.Errorf("backup %s was begun", id)
		}
		w.nothingLeft(id, true)
	}
}
