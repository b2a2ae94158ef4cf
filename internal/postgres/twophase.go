package postgres

import (
	"fmt"
	"strconv"
)

// firstNormalXID is FirstNormalTransactionId: smaller ids are special and compare as plain numbers.
const firstNormalXID = 3

// TwoPhaseName is the name of the file in pg_twophase that holds the prepared transaction xid (epoch in the upper half): 8 hexadecimal digits, 16 with
// the epoch since 17 (TwoPhaseFilePath in twophase.c).
func TwoPhaseName(serverVersion int, xid uint64) string {
	if HasWideTwoPhaseNames(serverVersion) {
		return fmt.Sprintf("%016X", xid)
	}
	return fmt.Sprintf("%08X", uint32(xid))
}

// ParseTwoPhaseName reads the name of a file in pg_twophase; ok is false for files that are none. For 8 digits the epoch is 0.
func ParseTwoPhaseName(name string) (xid uint64, ok bool) {
	if len(name) != 8 && len(name) != 16 {
		return 0, false
	}
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return 0, false
		}
	}
	xid, err := strconv.ParseUint(name, 16, 64)
	return xid, err == nil
}

// FutureTwoPhase says whether the file called name in pg_twophase belongs to a transaction that began after the start checkpoint of a backup, whose next
// transaction id (Control.NextXID) is nextXID. Replay makes such a file again from its PREPARE record; a copy of it only does harm: 17
// and 18 misjudge it at the start of recovery and then skip the record, so that the prepared transaction is lost. Leave it
// out of every backup. The comparison is circular, as in TransactionIdFollowsOrEquals, and uses the lower half only: servers
// have written wrong epochs into names.
func FutureTwoPhase(name string, nextXID uint64) bool {
	full, ok := ParseTwoPhaseName(name)
	if !ok {
		return false
	}
	xid, next := uint32(full), uint32(nextXID)
	if xid < firstNormalXID || next < firstNormalXID {
		return xid >= next
	}
	return int32(xid-next) >= 0
}
