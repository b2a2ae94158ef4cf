package testenv

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leftovers are what a backup may leave on a server: sessions, slots, and backup mode (seen by its progress and its session).
const leftovers = `SELECT 'session of ' || backend_type || ' ' || application_name || ' ' || coalesce(query, '') FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND application_name <> ALL ($keep) AND (backend_type = 'walsender' OR query ~* 'pg_(start_backup|stop_backup|backup_start|backup_stop|read_binary_file)')
UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE slot_name <> ALL ($keep)`

// NoBackupLeft fails the test unless the server has, within some seconds, no WAL sender, no backup session and no replication slot. Slots and
// applications named in keep may stay.
func (s *Server) NoBackupLeft(keep ...string) {
	s.t.Helper()
	list := make([]string, len(keep))
	for i, k := range keep {
		list[i] = quote(k)
	}
	sql := strings.ReplaceAll(leftovers, "$keep", "ARRAY["+strings.Join(list, ",")+"]::text[]")
	if s.Major < 15 {
		sql += " UNION ALL SELECT 'exclusive backup mode' WHERE pg_is_in_backup()"
	}
	err := poll(20*time.Second, func() (bool, error) {
		rows, err := s.TryRows("postgres", sql)
		if err != nil || len(rows) == 0 {
			return err == nil, err
		}
		return false, fmt.Errorf("%v", rows)
	})
	if err != nil {
		s.t.Errorf("the backup left something on PostgreSQL %d: %v", s.Major, err)
	}
}

// NoGoroutineLeaks makes the test fail at its end when it left goroutines of this module behind that were not there when it was called. Call it
// first, so that it is looked at after all other clean-up. Not for tests that run in parallel.
func NoGoroutineLeaks(t testing.TB) {
	t.Helper()
	before := len(goroutines())
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		var now []string
		err := poll(5*time.Second, func() (bool, error) {
			now = goroutines()
			return len(now) <= before, nil
		})
		if err != nil {
			t.Errorf("%d goroutines are left, %d were there before:\n%s", len(now), before, strings.Join(now, "\n\n"))
		}
	})
}

// goroutines are the stacks of those goroutines that run code of this module, the caller's own and testing's excluded.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var ours []string
	for _, stack := range strings.Split(string(buf), "\n\n") {
		other := strings.Contains(stack, "testing.tRunner") || strings.Contains(stack, "testing.runTests") || strings.Contains(stack, "testenv.starter")
		if strings.Contains(stack, "polarcast/") && !other {
			ours = append(ours, stack)
		}
	}
	return ours
}
