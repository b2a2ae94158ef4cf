package main

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"polarcast/messages"
	"polarcast/testenv"
)

// limited is a NATS server with little room, and accounts that lack something.
const limited = `accounts {
  full: { jetstream: enabled, users: [ { user: full, password: x },
    { user: mute, password: x, permissions: { publish: { deny: "polarcast.chunks.>" } } } ] }
  tiny: { jetstream: { max_store: 8MB }, users: [ { user: tiny, password: x } ] }
  none: { users: [ { user: none, password: x } ] }
}
`

func TestLimitsOfNATSAreOneClearError(t *testing.T) {
	t.Parallel()
	n := testenv.StartNATS(t, testenv.NATSOptions{Conf: limited, MaxStore: "64MB"})
	w := newWorld(t, 8, n.URL())
	want := w.pg.TableChecksums("postgres")
	as := func(user string, args ...string) []string {
		return append(args, "--nats-user", user, "--nats-password", "x")
	}
	for _, r := range []struct {
		name string
		say  []string
		args []string
	}{
		{"no JetStream", []string{"has no JetStream for this account"}, as("none", "list")},
		{"account without room", []string{"no room for stream", "POLARCAST_"}, as("tiny", w.sendArgs("send", "x", "--target", "a")...)},
		{"server without room", []string{"no room for stream POLARCAST_CHUNKS_x"}, as("full", w.sendArgs("send", "x", "--target", "a", "--buffer", "1GB")...)},
		{"a subject that is not allowed", []string{"polarcast.chunks.denied.data", "permission"},
			as("mute", w.sendArgs("send", "denied", "--target", "a", "--buffer", "8MB", "-c", "fast")...)},
	} {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			sub := *w
			sub.t = t
			sub.refused(r.say, r.args...)
		})
	}
	// A store that is smaller than the backup is enough: it fills, and what does not fit waits.
	w.done(w.start(as("full", w.sendArgs("send", "small", "--target", "a", "--buffer", "6MB", "-c", "fast")...)...), w.start(as("full", w.receiveArgs("receive", "small", "a")...)...))
	w.same("small", "a", want)
	w.run(0, append(as("full", "remove", "--force", "denied"), w.source()...)...)
	w.pg.NoBackupLeft()
}

func TestMessagesFromTheFutureAreOneClearError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "")
	c := w.client()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	publish := func(subject string, b []byte) {
		if _, err := nc.Request(subject, b, backupEnd); err != nil {
			t.Fatal(err)
		}
	}
	send := w.send("chunk", "--target", "a")
	w.read(c, "chunk")
	rec := messages.AppendRecord(nil, &messages.Record{Kind: messages.KindEnd, Path: "x", Session: 1})
	rec[4] = 99
	publish("polarcast.chunks.chunk.data", rec)
	w.refused([]string{"newer polarcast", "update this one"}, w.receiveArgs("receive", "chunk", "a")...)
	w.run(0, "cancel", "chunk")
	if code := send.Wait(backupEnd); code != 1 {
		t.Errorf("send ended with %d", code)
	}
	ev := messages.NewEvent(messages.EventLimitChanged, messages.LimitChanged{})
	ev.Backup, ev.Version = "event", 99
	b, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	publish("polarcast.events.event", b)
	for _, args := range [][]string{{"status", "event"}, w.receiveArgs("receive", "event", "a"), w.sendArgs("send", "event", "--target", "a")} {
		w.refused([]string{"schema version 99", "newer polarcast"}, args...)
	}
	if _, err := os.Stat(filepath.Join(w.path("chunk-a"), "global", "pg_control")); err == nil {
		t.Error("a server could start from what was received")
	}
	w.pg.NoBackupLeft()
}

// otherSystem writes the control file of another server into a directory: that of the test's server with another system identifier.
func (w *world) otherSystem(dir string) {
	w.t.Helper()
	b, err := os.ReadFile(w.pg.Path("global", "pg_control"))
	if err != nil {
		w.t.Fatal(err)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	for at := 64; at < 1024; at += 4 { // where its checksum is depends on the version
		if binary.LittleEndian.Uint32(b[at:]) == crc32.Checksum(b[:at], table) {
			b[0]++
			binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[:at], table))
			break
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "global"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "global", "pg_control"), b, 0o600); err != nil {
		w.t.Fatal(err)
	}
	testenv.Own(w.t, dir)
}
