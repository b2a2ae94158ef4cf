package stages

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// NewInstance returns a name for one running process: host, process id, the machine that gives that id a meaning, and four random bytes, so that a
// restarted process with a recycled id is never mistaken for its predecessor.
func NewInstance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails on the supported platforms
	return fmt.Sprintf("%s-%d-%s-%s", host, os.Getpid(), machine(), hex.EncodeToString(b[:]))
}

// machine identifies what process ids are counted in: a running kernel and its process namespace. "none" where that cannot be known.
var machine = sync.OnceValue(func() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "none"
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "none"
	}
	sum := sha256.Sum256([]byte(string(boot) + space))
	return hex.EncodeToString(sum[:4])
})

// Dead reports whether the process of an instance is known to be gone. It is false for one on another machine, whatever became of it.
func Dead(instance string) bool {
	parts := strings.Split(instance, "-")
	if len(parts) < 4 || machine() == "none" || parts[len(parts)-2] != machine() {
		return false
	}
	pid, err := strconv.Atoi(parts[len(parts)-3])
	if err != nil || pid <= 0 {
		return false
	}
	if err := syscall.Kill(pid, 0); err != nil {
		return errors.Is(err, syscall.ESRCH)
	}
	return zombie(pid)
}

// zombie reports whether a process has ended and was only not waited for.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, ok := strings.Cut(string(b), ") ") // the name before it may hold anything
	return ok && strings.HasPrefix(after, "Z")
}
