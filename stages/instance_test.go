package stages

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestDeadProcessesOfThisMachineAreKnown(t *testing.T) {
	me := NewInstance()
	if Dead(me) {
		t.Errorf("%s is dead, it says", me)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(me, "-")
	parts[len(parts)-3] = strconv.Itoa(cmd.Process.Pid)
	child := strings.Join(parts, "-")
	if Dead(child) {
		t.Errorf("%s is dead before it ended", child)
	}
	cmd.Process.Kill()
	for !Dead(child) { // a zombie counts: its work has ended
	}
	cmd.Wait()
	if !Dead(child) {
		t.Errorf("%s is not known to be dead", child)
	}
	parts[len(parts)-2] = "0badc0de"
	if Dead(strings.Join(parts, "-")) {
		t.Error("a process of another machine is called dead")
	}
	for _, s := range []string{"", "a", "host-x-y-z", "host-0-" + machine() + "-1"} {
		if Dead(s) {
			t.Errorf("%q is called dead", s)
		}
	}
}
