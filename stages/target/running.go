package target

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// running returns the process id of the server that runs in a data directory, 0 when there is none. As PostgreSQL does (CreateLockFile in miscinit.c) it
// asks whether the process of postmaster.pid lives, and whether processes are still attached to the server's shared memory after that. A process that
// lives, but works in another directory, only got the number of one that is gone.
func running(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return 0
	}
	lines := strings.Split(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid == 0 {
		return 0
	}
	pid = max(pid, -pid) // a server in single-user mode writes its own negated
	if pid != os.Getpid() && syscall.Kill(pid, 0) != syscall.ESRCH && worksIn(pid, dir) {
		return pid
	}
	if len(lines) > 6 {
		if f := strings.Fields(lines[6]); len(f) == 2 && attached(f[1]) {
			return pid
		}
	}
	return 0
}

// worksIn reports whether a process has dir as its working directory, as every server process has. A process that may not be looked at counts.
func worksIn(pid int, dir string) bool {
	cwd, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/cwd")
	if err != nil {
		return !os.IsNotExist(err)
	}
	own, err := os.Stat(dir)
	return err != nil || os.SameFile(cwd, own)
}

// attached reports whether any process has the shared memory segment of this id attached (/proc/sysvipc/shm: key, shmid, perms, size, cpid, lpid,
// nattch).
func attached(id string) bool {
	f, err := os.Open("/proc/sysvipc/shm")
	if err != nil {
		return false
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if v := strings.Fields(sc.Text()); len(v) > 6 && v[1] == id && v[6] != "0" {
			return true
		}
	}
	return false
}
