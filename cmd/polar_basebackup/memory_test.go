package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/target"
	"polarcast/testenv"
)

// A process that is killed has written some of what it had in memory, and nothing says so: files that the source has not any more, and other bytes in one that the
// next run finds as an earlier session had delivered it.
func TestWhatAKilledRunHadInMemory(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	dir := newDir(t)
	p := start(t, s, slow(dir)...)
	begun(p)
	s.Eventually("some files are written", func() (bool, error) {
		found, err := filepath.Glob(filepath.Join(dir, "base", "*", "*"))
		return len(found) > 350, err
	})
	p.Kill()
	s.NoBackupLeft()
	found, err := filepath.Glob(filepath.Join(dir, "base", "*", "1259"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%q, %v", found, err)
	}
	changed, err := filepath.Rel(dir, found[0])
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte("another "), 1024)
	inMemory(t, dir, map[string][]byte{"standby.signal": nil, filepath.Join(filepath.Dir(changed), "99999"): other, changed: other})
	must(t, s, stream("-v", "-D", dir)...)
	check(t, s, dir)
	same(t, s, dir, testenv.CopyOptions{})
	s.NoBackupLeft()
}

// inMemory makes it so that the process that was killed had begun to write these files of the copy.
func inMemory(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	store := filepath.Join(dir, target.MarkerDir, "jetstream")
	srv, err := pipeline.StartServer(pipeline.ServerOptions{StoreDir: store})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		srv.Shutdown()
		testenv.Own(t, dir)
	}()
	c, err := pipeline.Connect(t.Context(), pipeline.ClientOptions{Server: srv, Beside: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := target.Owner(dir)
	st, err := c.Log(id).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pub := c.ChunkPublisher(id, pipeline.PublisherOptions{})
	buf := pub.Buffer()
	for path, data := range files {
		r := messages.Record{Session: st.Session().Started.Session, Path: path, Size: int64(len(data))}
		if len(data) > 0 {
			buf = messages.NewCompressor(messages.CodecNone, 0).AppendData(buf, &r, data)
		} else {
			r.Kind = messages.KindSeal
			buf = messages.AppendRecord(buf, &r)
		}
		f, err := os.OpenFile(filepath.Join(dir, path), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := pub.Publish(t.Context(), pipeline.SubjectData, buf, nil); err != nil {
		t.Fatal(err)
	}
	if err := pub.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}
