package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// IsConnectionLost tells errors after which another connection to the same server may work: the link was cut, the server stopped, crashed, or
// is starting. An error of the server about what was asked, or the end of the caller's context, is none.
func IsConnectionLost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if code := SQLState(err); code != "" {
		switch {
		case strings.HasPrefix(code, "08"), // connection exceptions
			code == "57P01", code == "57P02", code == "57P03", code == "57P05": // shutdown, crash, starting, idle timeout
			return true
		}
		return false
	}
	var ne net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrServerStopped) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &ne)
}

// IsCrowded tells the error of a server that has no room for a further connection, or for a further WAL sender (53300, too_many_connections). Where a
// network was cut, it has room again when it notices, after wal_sender_timeout or the time of its TCP keepalives.
func IsCrowded(err error) bool { return SQLState(err) == "53300" }

// IsWALRemoved tells the error that START_REPLICATION gives for WAL that the server has recycled (walsender.c, "requested WAL segment … has
// already been removed", ERRCODE_UNDEFINED_FILE).
func IsWALRemoved(err error) bool { return SQLState(err) == "58P01" }

// ParseMemory reads a setting like "16MB" as SHOW prints it, in bytes.
func ParseMemory(s string) (int64, error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n, err := strconv.ParseInt(s[:i], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	unit, ok := map[string]int64{"": 1, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}[strings.TrimSpace(s[i:])]
	if !ok || n > (1<<62)/unit {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	return n * unit, nil
}
