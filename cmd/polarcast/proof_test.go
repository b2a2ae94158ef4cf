package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/testenv"
)

// chunks is the chunk stream of a backup, behind the back of all that use it.
func (w *world) chunks(backup string) jetstream.Stream { return w.stream("POLARCAST_CHUNKS_" + backup) }

func (w *world) stream(name string) jetstream.Stream {
	w.t.Helper()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := js.Stream(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// read waits until a backup is in the pipeline completely.
func (w *world) read(c *pipeline.Client, backup string) pipeline.State {
	w.t.Helper()
	return w.until(c, backup, "read", func(st pipeline.State) bool {
		return st.Session() != nil && st.Session().Stopped != nil && st.WALCaptured != nil
	})
}

// order fails the test unless a target was found incomplete, by name, before any was called complete. (The first one to find it speaks for all
// that miss the same.)
func (w *world) order(c *pipeline.Client, backup string) (missing messages.ChunksMissing) {
	w.t.Helper()
	found, written := false, false
	err := c.Log(backup).Events(w.t.Context(), 0, false, func(_ uint64, ev messages.Event) error {
		switch ev.Type {
		case messages.EventChunksMissing:
			var m messages.ChunksMissing
			if err := ev.Decode(&m); err != nil {
				return err
			}
			found, missing = true, m
			if written {
				w.t.Error("a target was called complete before parts of it were found missing")
			}
		case messages.EventTargetWritten:
			written = true
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if !found || len(missing.Ranges) == 0 && !missing.IndexLost {
		w.t.Fatalf("nothing was found missing: %+v", missing)
	}
	return missing
}

func TestLostChunksAreFoundAndSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8, "")
	want := w.pg.TableChecksums("postgres")
	c, rng := w.client(), seed(t)

	send := w.send("holes", "--target", "a,b")
	w.read(c, "holes")
	s := w.chunks("holes")
	last := s.CachedInfo().State.LastSeq
	for range 5 {
		if err := s.DeleteMsg(t.Context(), 1+rng.Uint64N(last)); err != nil {
			t.Log(err) // the same one again
		}
	}
	w.done(w.receive("holes", "a"), w.receive("holes", "b"), send)
	m := w.order(c, "holes")
	t.Logf("missing: %d parts, the first of \"%s\"", len(m.Ranges), m.Ranges[0].Path)
	if st := w.state(c, "holes"); st.Session().ReadDone.UnchangedBytes == 0 {
		t.Error("everything was sent again for a few lost chunks")
	}
	w.same("holes", "a", want)
	w.same("holes", "b", want)

	send = w.send("empty", "--target", "a")
	w.read(c, "empty")
	if err := w.chunks("empty").Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.done(w.receive("empty", "a"), send)
	w.order(c, "empty")
	w.same("empty", "a", want)
	w.pg.NoBackupLeft()
}

func TestALostIndexIsFoundAndMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, "")
	want := w.pg.TableChecksums("postgres")
	c, rng := w.client(), seed(t)
	for _, way := range []string{"stream", "files"} {
		for _, which := range []string{"end", "middle"} {
			if !testenv.Soak() && (way == "stream") != (which == "end") {
				continue
			}
			backup := way + "-" + which
			send := w.send(backup, "--target", "a", "--source="+way)
			w.read(c, backup)
			s := w.stream("POLARCAST_INDEX_" + backup)
			last := s.CachedInfo().State.LastSeq
			seq := last
			if which == "middle" {
				seq = 1 + rng.Uint64N(last-1)
			}
			if err := s.DeleteMsg(t.Context(), seq); err != nil {
				t.Fatal(err)
			}
			w.done(w.receive(backup, "a"), send)
			t.Logf("message %d of %d of the index was deleted", seq, last)
			w.order(c, backup)
			if d := w.state(c, backup).Session().ReadDone; d.UnchangedBytes == 0 {
				t.Error("everything was sent again for one lost message of the index")
			}
			w.same(backup, "a", want)
		}
	}
	w.pg.NoBackupLeft()
}

func TestABackupThatLosesChunksForEverFailsByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, "")
	c := w.client()
	send := w.send("broken", "--target", "a")
	w.read(c, "broken")
	s := w.chunks("broken")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			s.Purge(ctx) // until the stream is gone
			time.Sleep(10 * time.Millisecond)
		}
	}()
	receive := w.receive("broken", "a")
	if code := send.Wait(backupEnd); code != 1 || !strings.Contains(send.Stderr(), "JetStream has lost parts of the backup") {
		t.Errorf("send ended with %d:\n%s", code, send.Stderr())
	}
	if code := receive.Wait(backupEnd); code != 1 {
		t.Errorf("receive ended with %d:\n%s", code, receive.Stderr())
	}
	st := w.state(c, "broken")
	if st.Failed == nil || st.Completed != nil || st.Targets["a"].Written != nil || st.Targets["a"].Configured != nil {
		t.Errorf("the state is %+v", st)
	}
	w.order(c, "broken")
	if _, err := os.Stat(filepath.Join(w.path("broken-a"), "global", "pg_control")); err == nil {
		t.Error("a server could start from what was received")
	}
	w.pg.NoBackupLeft()
}
