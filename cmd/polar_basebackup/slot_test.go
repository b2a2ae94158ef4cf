package main_test

import (
	"testing"

	"polarcast/testenv"
)

// TestMissingSlot names a slot that is not there: nothing is written.
func TestMissingSlot(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	dir := newDir(t)
	fails(t, start(t, s, stream("-S", "nosuch", "-D", dir)...), "replication slot \"nosuch\" does not exist")
	untouched(t, dir, false)
}

// The checkpoint behind the end of backup mode takes the slot away when WAL of more than max_slot_wal_keep_size is kept, and ends the WAL sender: what was
// needed had been sent.
func TestSlotTakenAtTheEnd(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{WALSegMB: 1, Conf: "min_wal_size = 2MB\nmax_wal_size = 2MB\nmax_slot_wal_keep_size = 1MB\nwal_keep_size = 0\n"})
	for _, source := range []string{"stream", "files"} {
		dir := newDir(t)
		must(t, s, "-N", "-D", dir, "--source="+source)
		check(t, s, dir)
	}
}
