package main

import (
	"testing"

	"polarcast/pipeline"
)

func TestThreeTargetsFromOneRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, "")
	want := w.pg.TableChecksums("postgres")
	a := w.receive("nightly", "a")
	a.WaitOutput("waiting for backup \"nightly\"")
	send := w.send("nightly", "--target", "a,b", "--target", "c")
	c := w.client()
	w.until(c, "nightly", "a session", func(st pipeline.State) bool { return st.Session() != nil })
	b := w.receive("nightly", "b")
	cc := w.receive("nightly", "c")
	w.done(send, a, b, cc)
	st := w.state(c, "nightly")
	_, down := w.link.Bytes()
	read := st.Session().ReadDone.Bytes + st.WALCaptured.Bytes
	t.Logf("%d bytes read, %d came from the server", read, down)
	const segment = 16 << 20 // the server fills the last segment with zeros, and sends them until it is told to stop
	if down > read+read/10+segment {
		t.Errorf("%d bytes came from the server for %d bytes of data: it was read more than once", down, read)
	}
	for _, target := range []string{"a", "b", "c"} {
		w.same("nightly", target, want)
	}
	w.pg.NoBackupLeft()
	w.nothingLeft("nightly", true)
}
