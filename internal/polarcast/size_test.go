package polarcast

import (
	"strings"
	"testing"
)

func TestParseSizeAndRate(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "1024": 1024, "50MB": 50 << 20, "1.5G": 3 << 29, " 2 kB ": 2048, "1TiB": 1 << 40, "7b": 7} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%q is %d, want %d: %v", in, got, want, err)
		}
	}
	for _, in := range []string{"", "MB", "-1", "1XB", "1e9", "99999999999TB", "1..2"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q is taken as %d", in, got)
		}
	}
	for in, want := range map[string]int64{"50MB/s": 50 << 20, "none": 0, "OFF": 0, "3m": 3 << 20} {
		if got, err := ParseRate(in); err != nil || got != want {
			t.Errorf("%q is %d, want %d: %v", in, got, want, err)
		}
	}
}

func TestSlotNames(t *testing.T) {
	if got := SlotName("nightly"); got != "polarcast_nightly" {
		t.Error(got)
	}
	seen := map[string]string{}
	for _, id := range []string{"a-b", "a_b", "A_b", "a-B", strings.Repeat("x", 64), strings.Repeat("x", 63), strings.Repeat("x", 53) + "y", strings.Repeat("x", 53)} {
		got := SlotName(id)
		if len(got) > 63 || strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q gives %q, which is no name of a slot", id, got)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q share slot %q", id, other, got)
		}
		seen[got] = id
	}
}

func TestWhoIsDropped(t *testing.T) {
	for _, c := range []struct {
		name string
		lags []behind
		want string
	}{
		{"nobody is behind", []behind{{"a", 5}, {"b", 10}}, ""},
		{"one is", []behind{{"a", 5}, {"b", 11}, {"c", 9}}, "b"},
		{"the worst of two", []behind{{"a", 50}, {"b", 11}, {"c", 0}}, "a"},
		{"all are: that is not their fault", []behind{{"a", 50}, {"b", 11}}, ""},
		{"the last one", []behind{{"a", 50}}, ""},
		{"none", nil, ""},
	} {
		got := ""
		if w := worst(c.lags, 10); w != nil {
			got = w.name
		}
		if got != c.want {
			t.Errorf("%s: %q is dropped, want %q", c.name, got, c.want)
		}
	}
}

func TestCommandLinesHaveNoPasswords(t *testing.T) {
	got := HidePasswords([]string{"polarcast", "send", "-d", "password=secret", "-dpassword=secret", "--dbname=password=secret", "--dbname", "password=secret",
		"--nats-password", "secret", "--nats=nats://u:secret@h", "--nats-token=secret", "--target", "a"})
	if strings.Contains(got, "secret") || !strings.HasSuffix(got, "--target a") {
		t.Error(got)
	}
}
