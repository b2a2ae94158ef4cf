package postgres

import "testing"

func TestLSN(t *testing.T) {
	for text, want := range map[string]LSN{"0/0": 0, "16/B374D848": 0x16B374D848, "FFFFFFFF/ffffffff": 1<<64 - 1} {
		got, err := ParseLSN(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	if got := LSN(0x16B374D848).String(); got != "16/B374D848" {
		t.Errorf("got %s", got)
	}
	for _, text := range []string{"", "/", "1", "1/", "/1", "1/2/3", "123456789/0", "+1/2", "1/-2", "x/1", " 1/2", "1/0x2"} {
		if got, err := ParseLSN(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestSegmentName(t *testing.T) {
	for _, c := range []struct {
		tli  uint32
		lsn  LSN
		size int64
		name string
	}{
		{1, 0, 16 << 20, "000000010000000000000000"},
		{1, 0x1000000, 16 << 20, "000000010000000000000001"},
		{0xA, 0x1FF000000, 16 << 20, "0000000A00000001000000FF"},
		{1, 0x1C0000000, 1 << 30, "000000010000000100000003"}, // PolarDB 15's default size
		{1, 0x100100000, 1 << 20, "000000010000000100000001"},
	} {
		if got := SegmentName(c.tli, c.lsn+7, c.size); got != c.name {
			t.Errorf("%s with %d: %s, want %s", c.lsn, c.size, got, c.name)
		}
		tli, lsn, err := ParseSegmentName(c.name, c.size)
		if err != nil || tli != c.tli || lsn != c.lsn {
			t.Errorf("%s: %d %s %v", c.name, tli, lsn, err)
		}
	}
	for _, c := range []struct {
		name string
		size int64
	}{
		{"00000001000000000000000", 16 << 20}, {"0000000100000000000001ff", 16 << 20}, {"000000010000000000000100", 16 << 20},
		{"00000001000000000000000G", 16 << 20}, {"000000010000000000000000", 0}, {"000000010000000000000000", 3 << 20}, {"00000002.history", 16 << 20},
		{"000000010000000000000004", 1 << 30},
	} {
		if tli, lsn, err := ParseSegmentName(c.name, c.size); err == nil {
			t.Errorf("%s: %d %s", c.name, tli, lsn)
		}
	}
	if l := LSN(0x3000007); l.SegmentStart(16<<20) != 0x3000000 || l.SegmentOffset(16<<20) != 7 || l.Segment(16<<20) != 3 {
		t.Error("parts of a position are wrong")
	}
	if HistoryName(0x2A) != "0000002A.history" || !IsHistoryName("0000002A.history") || IsHistoryName("000002A.history") || IsHistoryName("0000002a.history") {
		t.Error("names of history files are wrong")
	}
}
