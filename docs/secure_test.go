package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"polarcast/testenv"
)

var subject = regexp.MustCompile("`([^`]+\\.>)`")

// readmeSubjects are what the README says that an account needs.
func readmeSubjects(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "The account needs")
	if !ok {
		t.Fatal("the README does not say what an account needs")
	}
	text, _, _ = strings.Cut(text, "\n- ")
	var all []string
	for _, m := range subject.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// An account with these permissions and no others carries a backup with two targets from request to removal.
func TestReadmePermissionsSuffice(t *testing.T) {
	subjects := readmeSubjects(t)
	if len(subjects) < 3 {
		t.Fatalf("only %q are named", subjects)
	}
	list := `["` + strings.Join(subjects, `", "`) + `"]`
	nats := testenv.StartNATS(t, testenv.NATSOptions{Conf: fmt.Sprintf(
		"authorization { users: [ { user: u, password: p, permissions: { publish: %s, subscribe: %s } } ] }", list, list)})
	pg := testenv.Start(t, 15, testenv.Options{})
	pg.LoadTPCB(1, 2000)
	dir, bin := testenv.Dir(t), testenv.Binary(t, "polarcast")
	env := []string{"NATS_URL=" + nats.URL(), "NATS_USER=u", "NATS_PASSWORD=p", "HOME=" + dir, "PGSSLMODE=disable"}
	run := func(args ...string) *testenv.Process {
		return testenv.StartProcess(t, testenv.ProcessOptions{Env: env}, bin, args...)
	}
	running := []*testenv.Process{
		run("receive", "--backup", "x", "--target", "a", "-D", filepath.Join(dir, "a")),
		run("receive", "--backup", "x", "--target", "b", "-D", filepath.Join(dir, "b")),
		run("send", "--backup", "x", "--target", "a,b", "-h", pg.Host(), "-p", pg.PortString(), "-U", pg.User, "-c", "fast", "--read=sql"),
	}
	for _, p := range running {
		if code := p.Wait(commandEnd); code != 0 {
			t.Fatalf("%s ended with %d:\n%s", p.Command, code, p.Stderr())
		}
	}
	for _, args := range [][]string{{"status", "x"}, {"events", "x"}, {"remove", "x"}, {"list"}} {
		if p := run(args...); p.Wait(commandEnd) != 0 {
			t.Errorf("%s: %s", p.Command, p.Stderr())
		}
	}
}
