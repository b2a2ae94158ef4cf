package testenv

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Account is the unprivileged user that servers and programs run as.
type Account struct {
	Name     string
	UID, GID int
	Switch   bool // the tests run as root and have to change to this user
}

// Unprivileged is the current user, or postgres (nobody where that does not exist) when the tests run as root.
var Unprivileged = sync.OnceValue(func() Account {
	if os.Geteuid() != 0 {
		a := Account{Name: strconv.Itoa(os.Getuid()), UID: os.Getuid(), GID: os.Getgid()}
		if u, err := user.Current(); err == nil {
			a.Name = u.Username
		}
		return a
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			return Account{Name: name, UID: uid, GID: gid, Switch: true}
		}
	}
	return Account{Name: "65534", UID: 65534, GID: 65534, Switch: true}
})

// sysProcAttr puts a command into a process group of its own, as the unprivileged user. The kernel sends it sig when the test binary dies,
// so that a test that is killed or panics leaves no server behind.
func sysProcAttr(sig syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: sig}
	if a := Unprivileged(); a.Switch {
		attr.Credential = &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID)}
	}
	return attr
}

// Dir is a new directory that the unprivileged user owns, removed when the test ends. Its path is short, for the socket paths below it
// (limited to about 100 bytes).
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pct")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("the test's directory is left behind: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	Own(t, dir)
	return dir
}

// Own gives path and all below it to the unprivileged user, and lets that user through the parents that belong to the tests.
func Own(t testing.TB, path string) {
	t.Helper()
	a := Unprivileged()
	if !a.Switch {
		return
	}
	err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, a.UID, a.GID)
	})
	if err != nil {
		t.Fatalf("give %s to user %s: %v", path, a.Name, err)
	}
	tmp := filepath.Clean(os.TempDir())
	for p := filepath.Dir(path); len(p) > len(tmp); p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		// What the user owns is open to it, and a data directory must stay closed to others.
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != a.UID && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(p, info.Mode().Perm()|0o011); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// reachable says whether the unprivileged user can pass through every parent of path.
func reachable(path string) error {
	if !Unprivileged().Switch {
		return nil
	}
	for p := filepath.Dir(filepath.Clean(path)); ; p = filepath.Dir(p) {
		if info, err := os.Stat(p); err == nil && info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s is closed to user %s", p, Unprivileged().Name)
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}
