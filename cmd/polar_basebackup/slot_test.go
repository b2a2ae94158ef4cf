package main_test

import (
	"syscall"
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

// TestSlotIsCleanedUp interrupts backups that make a slot and cannot be continued: the slot goes with the rest, so that the same command does not find
// it in its way.
func TestSlotIsCleanedUp(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, 15, testenv.Options{})
	filler(s, 12)
	dir := newDir(t)
	args := []string{"-C", "-S", "mine"}

	p := start(t, s, slow(dir, append(args, "--no-resume")...)...)
	begun(p)
	p.Signal(syscall.SIGTERM)
	failsWith(t, p, 128+int(syscall.SIGTERM), "dropping replication slot \"mine\"")
	untouched(t, dir, false)
	s.NoBackupLeft()

	// Somebody else's is left alone.
	s.Exec("SELECT pg_create_physical_replication_slot('mine')")
	fails(t, start(t, s, slow(dir, append(args, "--no-resume")...)...), "replication slot \"mine\" already exists")
	s.NoBackupLeft("mine")
	if s.Value("SELECT count(*)::text FROM pg_replication_slots") != "1" {
		t.Error("the slot of somebody else was dropped")
	}
	s.Exec("SELECT pg_drop_replication_slot('mine')")

	// Archives are begun again, also after a kill.
	p = start(t, s, slow(dir, append(args, "-Ft")...)...)
	begun(p)
	p.Kill()
	must(t, s, stream(append(args, "-Ft", "-D", dir)...)...)
	clean(t, dir)
	s.NoBackupLeft("mine")
	if s.Value("SELECT count(*)::text FROM pg_replication_slots") != "1" {
		t.Error("the finished backup has no slot")
	}
}
