package postgres

import "testing"

func TestFutureTwoPhase(t *testing.T) {
	for _, c := range []struct {
		name string
		next uint64
		want bool
	}{
		{"000002E6", 0x2E6, true}, // xid = nextXid: began after the checkpoint
		{"000002E5", 0x2E6, false},
		{"000002E7", 0x2E6, true},
		{"00000000000002E6", 0x2E5, true},
		{"00000001000002E4", 0x1000002E5, false},
		{"FFFFFFFF000002E6", 0x2E5, true}, // a wrong epoch
		{"FFFFFFF0", 0x100000003, false},  // before the wraparound
		{"00000005", 0xFFFFFFF0, true},    // after it
		{"80000003", 3, false},            // exactly half way is the past
		{"80000002", 3, true},
		{"00000001", 0x2E6, false}, // special ids are plain numbers
		{"000002e6", 0x2E6, false}, // not a name that a server writes
		{"2E6", 0x2E6, false},
		{"pgsql_tmp", 3, false},
		{"", 3, false},
	} {
		if got := FutureTwoPhase(c.name, c.next); got != c.want {
			t.Errorf("%s with next %X: %v", c.name, c.next, got)
		}
	}
}

func TestTwoPhaseName(t *testing.T) {
	if got := TwoPhaseName(160000, 0x1000002E6); got != "000002E6" {
		t.Error(got)
	}
	if got := TwoPhaseName(170000, 0x1000002E6); got != "00000001000002E6" {
		t.Error(got)
	}
}

func FuzzTwoPhaseName(f *testing.F) {
	f.Add("00000001000002E6", uint64(0x2E6))
	f.Fuzz(func(t *testing.T, name string, next uint64) {
		xid, ok := ParseTwoPhaseName(name)
		if ok && TwoPhaseName(110000, xid) != name && TwoPhaseName(170000, xid) != name {
			t.Fatalf("%q was read as %X", name, xid)
		}
		if !ok && FutureTwoPhase(name, next) {
			t.Fatalf("%q is no file of a prepared transaction", name)
		}
	})
}
