package main

import (
	"sync"
	"testing"

	"polarcast/pipeline"
)

func TestFilesAreReadWhereTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	for _, way := range []struct{ backup, source, read string }{{"auto", "--source=auto", "path"}, {"path", "--read=path", "path"}, {"sql", "--read=sql", "sql"}} {
		_, before := w.link.Bytes()
		w.done(w.send(way.backup, "--target", "a", way.source, "--jobs", "2"), w.receive(way.backup, "a"))
		st := w.state(c, way.backup)
		if r := st.Requested; r.Source != "files" || r.Read != way.read {
			t.Errorf("%s: read by %s %s", way.source, r.Source, r.Read)
		}
		_, after := w.link.Bytes()
		if size, sent := st.Session().ReadDone.Bytes, after-before-st.WALCaptured.Bytes; (sent > size/2) != (way.read == "sql") {
			t.Errorf("%s: the server sent %d of %d bytes", way.source, sent, size)
		}
		w.same(way.backup, "a", want)
	}
	// What was decided stays decided, wherever the command is repeated.
	send := w.send("again", "--target", "a", "--source=stream", "-r", "4M")
	w.until(c, "again", "reading", reading)
	send.Kill()
	w.done(w.send("again", "--target", "a", "--source=auto"), w.receive("again", "a"))
	if st := w.state(c, "again"); st.Requested.Source != "stream" {
		t.Errorf("the backup went on with source %s", st.Requested.Source)
	}
	w.same("again", "a", want)
	w.pg.NoBackupLeft()
}

func TestSeveralReadersShareTheFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	var mu sync.Mutex
	read := map[string]int64{}
	go c.WatchProgress(t.Context(), "shared", func(p pipeline.Progress) {
		if p.Stage == "tablespace" {
			mu.Lock()
			defer mu.Unlock()
			if p.PID == 0 || p.Host == "" {
				t.Errorf("a report does not say whose it is: %+v", p)
			}
			read[p.Instance] = max(read[p.Instance], p.Read)
		}
	})
	stages := []string{"stage tablespace", "stage tablespace", "stage wal"}
	lead := w.start(w.sendArgs("stage checkpoint", "shared", "--source=files", "-c", "fast", "--target", "a", "-r", "4M")...)
	w.done(lead, w.start(w.sendArgs(stages[0], "shared")...), w.start(w.sendArgs(stages[1], "shared", "--jobs", "2")...), w.start(w.sendArgs(stages[2], "shared")...),
		w.receive("shared", "a"))
	var sum int64
	mu.Lock()
	for instance, n := range read {
		t.Logf("%s has read %s", instance, mb(n))
		if sum += n; n == 0 {
			t.Errorf("%s has read nothing", instance)
		}
	}
	mu.Unlock()
	size := w.state(c, "shared").Session().ReadDone.Bytes
	if len(read) != 2 || sum > size+size/20 {
		t.Errorf("%d readers have read %s for %s of data", len(read), mb(sum), mb(size))
	}
	w.same("shared", "a", want)
	w.pg.NoBackupLeft()
}
