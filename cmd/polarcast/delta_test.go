package main

import (
	"os"
	"testing"

	"polarcast/pipeline"
	"polarcast/testenv"
)

// Two old copies, which went different ways, and a new directory are brought up to date at once; one receiver is killed in the middle.
func TestDelta(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, "")
	w.pg.Exec("VACUUM FREEZE", "CHECKPOINT")
	first := []*testenv.Process{w.receive("one", "a"), w.receive("one", "b"), w.send("one", "--target", "a,b")}
	w.done(first...)
	for _, name := range []string{"a", "b"} {
		if err := os.Rename(w.path("one-"+name), w.path("two-"+name)); err != nil {
			t.Fatal(err)
		}
		s := testenv.StartCopy(t, testMajor, w.path("two-"+name), testenv.Primary, testenv.CopyOptions{})
		s.Exec("UPDATE noise SET a = '"+name+"' WHERE id % 100 = 3", "CREATE TABLE only_"+name+" AS SELECT g FROM generate_series(1, 1000) g", "CHECKPOINT")
		s.Stop(testenv.Immediate)
	}
	w.pg.Exec("UPDATE noise SET a = 'new' WHERE id < 10", "CHECKPOINT")
	want := w.pg.TableChecksums("postgres")
	c := w.client()

	// Nobody reads before all targets have said what they hold.
	send := w.send("two", "--target", "a,b", "--delta", "-r", "16M")
	b := w.receive("two", "b", "--delta")
	w.until(c, "two", "a survey", func(st pipeline.State) bool { return st.Targets["b"].Surveyed != nil })
	if st := w.state(c, "two"); st.Session() != nil {
		t.Error("the source is read before all targets have said what they hold")
	}
	w.refused([]string{"two", "too late"}, w.receiveArgs("receive", "two", "c")...)
	a := w.receive("two", "a", "--delta")
	w.until(c, "two", "an open target", func(st pipeline.State) bool { return st.Targets["a"].Opened != nil })
	a.KillOnly()
	a.Wait(backupEnd)
	if _, err := os.Stat(w.path("two-a/global/pg_control")); !os.IsNotExist(err) {
		t.Errorf("global/pg_control is there in the middle of it (%v)", err)
	}
	a = w.receive("two", "a", "--delta")
	w.done(send, a, b)
	st := w.state(c, "two")
	d := st.Session().ReadDone
	t.Logf("%d bytes read, %d unchanged", d.Bytes, d.UnchangedBytes)
	if d.UnchangedBytes < d.Bytes/4 {
		t.Errorf("of %d bytes only %d were found unchanged", d.Bytes, d.UnchangedBytes)
	}
	for _, name := range []string{"a", "b"} {
		w.same("two", name, want)
	}
	w.nothingLeft("two", true)

	// An old copy needs a backup that waits for it.
	if err := os.Rename(w.path("two-a"), w.path("three-a")); err != nil {
		t.Fatal(err)
	}
	send = w.send("three", "--target", "a,b")
	w.until(c, "three", "identified", func(st pipeline.State) bool { return st.Prepared != nil })
	w.refused([]string{"not sent with --delta"}, w.receiveArgs("receive", "three", "a", "--delta")...)
	if _, err := os.Stat(w.path("three-a/global/pg_control")); err != nil {
		t.Errorf("the refused copy was changed: %v", err)
	}
	w.run(0, "cancel", "three")
	send.Wait(backupEnd)
}
