package pfs

import (
	"sync/atomic"
	"time"
)

// Stats is what this process has done through libpfsd so far, over all mounts.
type Stats struct {
	Calls        int64         // calls of the library
	Time         time.Duration // that they took together; calls of several threads at the same time all count
	BytesRead    int64
	BytesWritten int64
}

var stats struct{ calls, nanoseconds, read, written atomic.Int64 }

// ReadStats returns the process's counters.
func ReadStats() Stats {
	return Stats{Calls: stats.calls.Load(), Time: time.Duration(stats.nanoseconds.Load()), BytesRead: stats.read.Load(), BytesWritten: stats.written.Load()}
}

// count takes note of a call that has ended. n is the number of bytes that it was to move.
func count(op string, n int, took time.Duration, err error) {
	stats.calls.Add(1)
	stats.nanoseconds.Add(int64(took))
	switch {
	case err != nil:
	case op == opRead:
		stats.read.Add(int64(n))
	case op == opWrite:
		stats.written.Add(int64(n))
	}
}

// Calls that move bytes, as errors and the watchdog name them.
const (
	opRead  = "read"
	opWrite = "write"
)
