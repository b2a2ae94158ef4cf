package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"polarcast/pipeline"
	"polarcast/testenv"
)

// TestAStoppedStorageProcessWritesNothingOld stops one of two storage processes in the middle for longer than JetStream waits for it, loses the session meanwhile,
// and lets it go on: the copy is the source's. Stopped at the end, it keeps the target from becoming a node until it is gone.
func TestAStoppedStorageProcessWritesNothingOld(t *testing.T) {
	t.Parallel()
	if !testenv.Soak() {
		t.Skip("only with POLARCAST_SOAK=1: it waits for what takes JetStream long")
	}
	w := newWorld(t, 16, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	storage := func(backup string) *testenv.Process { return w.start(w.receiveArgs("stage storage", backup, "a")...) }
	node := func(backup string) *testenv.Process { return w.start(w.receiveArgs("stage node", backup, "a")...) }

	send, one, two, n := w.send("middle", "--target", "a", "-r", "8M", "--source=files", "--retries", "5"), storage("middle"), storage("middle"), node("middle")
	w.until(c, "middle", "reading", func(st pipeline.State) bool { return reading(st) && st.Targets["a"].Opened != nil })
	time.Sleep(time.Second)
	one.Signal(syscall.SIGSTOP)
	time.Sleep(13 * time.Second)
	w.pg.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'polarcast backup mode'")
	time.Sleep(3 * time.Second)
	one.Signal(syscall.SIGCONT)
	w.done(send, two, n, one)
	if !strings.Contains(one.Stderr(), "this process was stopped for so long") {
		t.Errorf("the process that was stopped did not notice:\n%s", one.Stderr())
	}
	w.same("middle", "a", want)

	send, one, two, n = w.send("end", "--target", "a", "-r", "8M", "--source=files"), storage("end"), storage("end"), node("end")
	w.until(c, "end", "the target to be open", func(st pipeline.State) bool { return st.Targets["a"].Opened != nil })
	w.pg.Eventually("the first process has opened it", func() (bool, error) { return strings.Contains(w.run(0, "status", "end"), fmt.Sprint(one.PID())), nil })
	one.Signal(syscall.SIGSTOP)
	w.until(c, "end", "a complete target", func(st pipeline.State) bool { return st.Targets["a"].Written != nil })
	w.pg.Eventually("the node stage tells of the process", func() (bool, error) {
		return strings.Contains(n.Stderr(), fmt.Sprintf("process %d still has directory", one.PID())), nil
	})
	if w.state(c, "end").Targets["a"].Configured != nil {
		t.Error("the target became a node beside a process that may still write into it")
	}
	one.Signal(syscall.SIGCONT)
	w.done(send, one, two, n)
	w.same("end", "a", want)
}
