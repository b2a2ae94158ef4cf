package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"polarcast/internal/polarcast"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/testenv"
)

func reading(st pipeline.State) bool { return st.Session() != nil }

func TestATargetMayJoinLateWhileChunksAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	send := w.send("kept", "--target", "a", "--keep", "10m")
	w.done(w.receive("kept", "a"), send)
	slot := append([]string{"-C", "-S", "late"}, w.source()...)
	late, twin := w.receive("kept", "late", slot...), w.receive("kept", "late", slot...) // both make the slot, or know that the other has
	w.done(late, twin)
	const gone = "has removed the WAL from there to where replication slot"
	if strings.Contains(late.Stderr(), gone) {
		t.Errorf("WAL that is there is called removed:\n%s", late.Stderr())
	}
	w.pg.Exec("SELECT pg_drop_replication_slot('late')")
	for range 8 { // more than wal_keep_size
		w.pg.Exec("SELECT pg_logical_emit_message(true, 'fill', 'x')", "SELECT pg_switch_wal()")
	}
	w.pg.Exec("CHECKPOINT")
	later := w.receive("kept", "later", append([]string{"-C", "-S", "later"}, w.source()...)...)
	w.done(later)
	if !strings.Contains(later.Stderr(), gone+` "later" begins: the node can only follow it with restore_command`) {
		t.Errorf("nothing is said of WAL that was removed:\n%s", later.Stderr())
	}
	w.pg.Exec("SELECT pg_drop_replication_slot('later')")
	w.same("kept", "a", want)
	w.same("kept", "late", want)
	if st := w.state(c, "kept"); len(st.Sessions) != 1 || len(st.Targets) != 3 {
		t.Errorf("%d sessions, targets %v", len(st.Sessions), st.Targets)
	}
	w.run(0, "remove", "kept")
	w.nothingLeft("kept", false)
	w.pg.NoBackupLeft()
}

func TestATargetThatIsTooFarBehindIsDroppedButNeverTheLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 48, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	send := w.send("lag", "--target", "fast,slow", "--max-lag", "8MB", "--buffer", "64MB", "-r", "16M")
	fast, slow := w.receive("lag", "fast"), w.receive("lag", "slow")
	w.until(c, "lag", "both have joined", func(st pipeline.State) bool {
		return st.Targets["fast"].Joined != nil && st.Targets["slow"].Joined != nil && st.Targets["slow"].Opened != nil
	})
	slow.Signal(syscall.SIGSTOP)
	w.until(c, "lag", "slow was dropped", func(st pipeline.State) bool { return st.Targets["slow"].Dropped != nil })
	slow.Signal(syscall.SIGCONT)
	w.done(send, fast)
	if code := slow.Wait(backupEnd); code != 1 || !strings.Contains(slow.Stderr(), "dropped") {
		t.Errorf("the slow one ended with %d:\n%s", code, slow.Stderr())
	}
	if !strings.Contains(send.Stderr(), "TARGET DROPPED") {
		t.Errorf("nothing was said:\n%s", send.Stderr())
	}
	w.same("lag", "fast", want)
	w.refused([]string{"was dropped"}, w.receiveArgs("receive", "lag", "slow")...)

	send = w.send("alone", "--target", "only", "--max-lag", "1MB", "--buffer", "64MB")
	w.read(c, "alone") // nobody has taken anything
	time.Sleep(3 * time.Second)
	w.done(w.receive("alone", "only"), send)
	w.same("alone", "only", want)
	w.pg.NoBackupLeft()
}

func TestCancelAndRemoveLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8, "")
	c := w.client()
	send := w.send("first", "--target", "a", "-r", "2M")
	receive := w.receive("first", "a", append([]string{"-C", "-S", "first_a"}, w.source()...)...)
	w.until(c, "first", "reading", func(st pipeline.State) bool { return reading(st) && st.Targets["a"].Opened != nil })
	w.refused([]string{"on its way"}, "remove", "first")
	cancel := w.start("cancel", "first", "--reason", "wrong host")
	w.done(cancel)
	if !strings.Contains(cancel.Stderr(), `replication slot "first_a", which target "a" has created with -C, stays`) {
		t.Errorf("nothing is said of the slot that is left:\n%s", cancel.Stderr())
	}
	for _, p := range []*testenv.Process{send, receive} {
		if code := p.Wait(backupEnd); code != 1 || !strings.Contains(p.Stderr(), "wrong host") {
			t.Errorf("%s ended with %d:\n%s", p.Command, code, p.Stderr())
		}
	}
	w.pg.NoBackupLeft("first_a") // the checkpoint stage has dropped its own
	w.refused([]string{"was cancelled", "polarcast remove first"}, w.sendArgs("send", "first", "--target", "a", "-c", "fast")...)
	w.refused([]string{"was cancelled"}, w.receiveArgs("receive", "first", "a")...)
	w.until(c, "first", "the slot to be dropped", func(st pipeline.State) bool { return st.SlotDropped != nil })
	remove := w.start("remove", "first")
	if code := remove.Wait(backupEnd); code != 0 || strings.Contains(remove.Stderr(), "is left on the server") {
		t.Errorf("the log says that the slot was dropped; remove ended with %d:\n%s", code, remove.Stderr())
	}
	w.nothingLeft("first", false)
	w.refused([]string{"no such backup"}, "status", "first")

	send = w.send("second", "--target", "a", "-r", "2M")
	w.until(c, "second", "reading", reading)
	send.Kill() // nobody is there to drop the slot
	w.run(0, append([]string{"remove", "--force", "second"}, w.source()...)...)
	w.nothingLeft("second", false)

	send = w.send("third", "--target", "a", "-r", "2M")
	w.until(c, "third", "reading", reading)
	send.Kill()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("$JS.API.STREAM.DELETE.POLARCAST_INDEX_third", nil, backupEnd); err != nil {
		t.Fatal(err)
	}
	w.refused([]string{"cannot be continued", "the streams of the backup are gone", "polarcast remove --force third"}, w.sendArgs("send", "third", "--target", "a", "-c", "fast", "-r", "2M")...)
	w.run(0, append([]string{"remove", "--force", "third"}, w.source()...)...)
	w.nothingLeft("third", false)

	send = w.send("fourth", "--target", "a", "-r", "2M")
	w.until(c, "fourth", "reading", reading)
	send.Kill()
	if _, err := nc.Request("$JS.API.STREAM.PURGE.POLARCAST_EVENTS", []byte(`{"filter":"polarcast.events.fourth"}`), backupEnd); err != nil {
		t.Fatal(err)
	}
	w.refused([]string{"event log of the backup is lost", "polarcast remove fourth"}, "status", "fourth")
	w.run(0, append([]string{"remove", "fourth"}, w.source()...)...)
	w.nothingLeft("fourth", false)
	w.pg.NoBackupLeft("first_a")
}

func TestAnotherProcessTakesOverAndTheFirstIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, "")
	w.pg.AppendConf("wal_sender_timeout = 5s")
	w.pg.Reload()
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	lead := []string{"-c", "fast", "--target", "a", "-r", "4M"}
	first := w.start(w.sendArgs("stage checkpoint", "taken", lead...)...)
	wal := w.start(w.sendArgs("stage wal", "taken")...)
	w.until(c, "taken", "prepared", func(st pipeline.State) bool { return st.Prepared != nil })
	second := w.start(w.sendArgs("stage checkpoint", "taken", lead...)...)
	read := w.start(w.sendArgs("stage tablespace", "taken")...)
	receive := w.receive("taken", "a")
	w.until(c, "taken", "reading", reading)
	first.Signal(syscall.SIGSTOP) // not dead: it may come back at any time
	walSecond := w.start(w.sendArgs("stage wal", "taken")...)
	wal.Signal(syscall.SIGSTOP)
	w.done(second, read, walSecond, receive)
	first.Signal(syscall.SIGCONT)
	wal.Signal(syscall.SIGCONT)
	if code := first.Wait(backupEnd); code == 0 && !strings.Contains(first.Stderr(), "complete") {
		t.Errorf("the first one ended with %d:\n%s", code, first.Stderr())
	}
	wal.Wait(backupEnd)
	completed := 0
	err := c.Log("taken").Events(t.Context(), 0, false, func(_ uint64, ev messages.Event) error {
		if ev.Type == messages.EventCompleted || ev.Type == messages.EventSessionStopped {
			completed++
		}
		return nil
	})
	if err != nil || completed != 2 {
		t.Errorf("%d events of the end, want 2: %v", completed, err)
	}
	w.same("taken", "a", want)
	w.pg.NoBackupLeft()
}

func TestStatusLimitsAndMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16, "")
	c := w.client()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	send := w.send("seen", "--target", "a,b", "-r", "4M", "--metrics", addr, "--log-format", "json")
	a := w.receive("seen", "a")
	w.until(c, "seen", "a is written", func(st pipeline.State) bool { return st.Targets["a"].Opened != nil })
	w.run(0, "limit", "seen", "2MB", "--target", "a")
	w.run(0, "limit", "seen", "3MB/s")
	w.refused([]string{"no target \"x\""}, "limit", "seen", "1MB", "--target", "x")
	w.refused([]string{"is not a rate"}, "limit", "seen", "fast")
	s := w.status("seen")
	if s.State != polarcast.StateReading || s.Limits["a"] != 2<<20 || s.Limits[""] != 3<<20 || s.TotalBytes == 0 || s.SystemID == "" || s.WAL.Slot != "polarcast_seen" || !s.WAL.OwnSlot {
		t.Errorf("%+v", s)
	}
	var stages []string
	for _, g := range s.Stages {
		stages = append(stages, g.Stage)
	}
	if strings.Join(stages, " ") != "checkpoint tablespace wal storage node" {
		t.Errorf("stages %v report", stages)
	}
	if len(s.Targets) != 2 || s.Targets[0].State != polarcast.TargetReceiving || s.Targets[0].Percent == nil || s.Targets[1].State != polarcast.TargetExpected ||
		!strings.Contains(s.Targets[1].Waiting, "polarcast receive") {
		t.Errorf("targets %+v", s.Targets)
	}
	if text := w.run(0, "status"); !strings.Contains(text, "backup seen: reading") || !strings.Contains(text, "TARGET") {
		t.Errorf("status says:\n%s", text)
	}
	for path, want := range map[string]string{"/healthz": "ok", "/metrics": `polarcast_read_bytes_total{backup="seen",stage="tablespace",target=""}`} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s has no %q: %v", path, want, err)
		}
	}
	w.run(0, "limit", "seen", "none")
	w.run(0, "limit", "seen", "0", "--target", "a")
	w.done(w.receive("seen", "b"), a, send)
	for _, line := range strings.Split(strings.TrimSpace(send.Stderr()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	var list []polarcast.Summary
	if err := json.Unmarshal([]byte(w.run(0, "list", "--json")), &list); err != nil || len(list) != 1 || list[0].State != polarcast.StateComplete || len(list[0].Ready) != 2 {
		t.Errorf("list: %+v, %v", list, err)
	}
	lines := strings.Split(strings.TrimSpace(w.run(0, "events", "--json", "--follow")), "\n")
	last, err := messages.ParseEvent([]byte(lines[len(lines)-1]))
	if err != nil || last.Type != messages.EventCompleted {
		t.Errorf("the last event is %v, %v", last.Type, err)
	}
	if end := w.status("seen"); end.State != polarcast.StateComplete || end.Stream != nil || *end.Targets[0].Percent != 100 {
		t.Errorf("%+v", end)
	}
}

func TestSignalsEndCleanlyAndTheSameCommandContinues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	standby := append([]string{"--node=standby", "--start", "-C", "-S", "sig_b", "--set=listen_addresses=", "--set=unix_socket_directories=" + w.dir}, w.source()...)
	send, a, b := w.send("sig", "--target", "a,b", "-r", "4M"), w.receive("sig", "a"), w.receive("sig", "b", standby...)
	w.until(c, "sig", "reading", func(st pipeline.State) bool { return st.Targets["a"].Opened != nil && st.Targets["b"].Opened != nil })
	held := w.pg.Value("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'sig_b'")
	if start := w.state(c, "sig").Session().Started.StartLSN.String(); held == "" || w.pg.Value("SELECT '"+held+"'::pg_lsn <= '"+start+"'") != "true" {
		t.Errorf("the slot of the standby holds WAL from %q on, the backup starts at %s", held, start)
	}
	for i, p := range []*testenv.Process{send, a, b} {
		p.Signal([]syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGTERM}[i])
		if code := p.Wait(time.Minute); code != 1 || !strings.Contains(p.Stderr(), "interrupted") {
			t.Errorf("%s ended with %d:\n%s", p.Command, code, p.Stderr())
		}
		if p == send {
			w.pg.Eventually("a target tells that the source's process has ended", func() (bool, error) {
				return strings.Contains(a.Stderr(), "(checkpoint, tablespace, wal) has ended: ") && strings.Contains(a.Stderr(), "the same command there continues the backup"), nil
			})
		}
	}
	w.refused([]string{"other options"}, w.sendArgs("send", "sig", "--target", "a")...)
	// As if b had died when its slot was made, and before it could note that.
	if err := c.Log("sig").Append(t.Context(), "receive", "test", messages.NewEvent(messages.EventTargetSlot, messages.TargetSlot{Target: "b", Slot: "sig_b"})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.stopNode("sig-b") })
	w.done(w.send("sig", "--target", "a,b"), w.receive("sig", "a"), w.receive("sig", "b", standby...))
	w.same("sig", "a", want)
	if v := w.pg.Value("SELECT count(*) FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE slot_name = 'sig_b' AND state = 'streaming'"); v != "1" {
		t.Errorf("%s standbys stream from the slot", v)
	}
	w.refused([]string{"is complete since"}, w.sendArgs("send", "sig", "--target", "a,b")...)
	w.done(w.receive("sig", "a"), w.receive("sig", "b", standby...)) // nothing to do
	w.stopNode("sig-b")
	w.pg.NoBackupLeft("sig_b")
}
