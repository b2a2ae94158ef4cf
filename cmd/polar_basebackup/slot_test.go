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
