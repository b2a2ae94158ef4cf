package sdk

import "testing"

func TestParseLine(t *testing.T) {
	for in, want := range map[string]Line{
		"[PFSD_SDK INF Nov 22 11:32:11.699621][4711]pfsd_mkdir 1320: mkdir /d/[a]": {"INF", "pfsd_mkdir 1320: mkdir /d/[a]"},
		"[PFSD_SDK ERR Nov 22 11:32:11.699621][1]f 1: x":                           {"ERR", "f 1: x"},
		"some other line": {"", "some other line"},
		"[PFSD_SDK ERR":   {"", "[PFSD_SDK ERR"},
		"":                {"", ""},
	} {
		if got := ParseLine(in); got != want {
			t.Errorf("%q: %+v", in, got)
		}
	}
}
