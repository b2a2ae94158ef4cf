package testenv

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// proc is a process as /proc knows it. The start time tells it from a later process with the same id.
type proc struct {
	pid, ppid, pgrp int
	start           string // clock ticks since boot
	state           string
	name            string
}

// readProc reads /proc/PID/stat; ok is false when there is no such process.
func readProc(pid int) (p proc, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	// The name stands in parentheses and may hold spaces and parentheses.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p, false
	}
	f := strings.Fields(string(stat[end+1:]))
	if len(f) < 20 {
		return p, false
	}
	p = proc{pid: pid, state: f[0], start: f[19], name: string(stat[open+1 : end])}
	p.ppid, _ = strconv.Atoi(f[1])
	p.pgrp, _ = strconv.Atoi(f[2])
	return p, true
}

func processes() []proc {
	var all []proc
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if p, ok := readProc(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// descendants are the children of pid, their children, and so on.
func descendants(pid int) []proc {
	all := processes()
	family := map[int]bool{pid: true}
	var found []proc
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if family[p.ppid] && !family[p.pid] {
				family[p.pid], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

// alive says whether this very process runs; zombies do not.
func (p proc) alive() bool {
	now, ok := readProc(p.pid)
	return ok && now.start == p.start && now.state != "Z" && now.state != "X"
}

func (p proc) kill(sig syscall.Signal) {
	if p.alive() {
		syscall.Kill(p.pid, sig)
	}
}
