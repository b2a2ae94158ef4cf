package wal

import (
	"time"

	"polarcast/internal/postgres"
)

const (
	stateInUse = "55006" // object_in_use
	// busyWait bounds the time that a slot is waited for. A server notices only after wal_sender_timeout, 60 s by default, that whoever held
	// the slot is gone without having closed its connection.
	busyWait = 5 * time.Minute
)

// busy follows how long the backup's own slot, or its place among max_wal_senders, has been in use by a connection before this one. A slot that its user
// named is not waited for, nor is a place that this process has not had.
type busy struct{ since time.Time }

// passes reports whether the error is such a one that may pass, and whether it is the first of them.
func (b *busy) passes(err error, own, had bool) (passes, first bool) {
	if !(own && postgres.SQLState(err) == stateInUse || had && postgres.IsCrowded(err)) {
		b.since = time.Time{}
		return false, false
	}
	if b.since.IsZero() {
		b.since, first = time.Now(), true
	}
	return time.Since(b.since) < busyWait, first
}
