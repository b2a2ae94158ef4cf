package postgres

import "testing"

func TestServerVersion(t *testing.T) {
	for s, want := range map[string]int{"15.8 (Debian 15.8-1)": 150008, "11.9": 110009, "18beta1": 180000, "17devel": 170000, "18.4": 180004, "9.6.24": 90006} {
		if got, err := ParseServerVersion(s); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", ".5", "99999.1"} {
		if v, err := ParseServerVersion(s); err == nil {
			t.Errorf("%q was read as %d", s, v)
		}
	}
	if CheckServerVersion(90624) == nil || CheckServerVersion(110000) != nil {
		t.Error("11 is the oldest version")
	}
	if got := VersionString(90624) + " " + VersionString(150008); got != "9.6.24 15.8" {
		t.Error(got)
	}
}

func TestVersionRules(t *testing.T) {
	for v, want := range map[int]int{110022: 0, 120022: 0, 130000: 1, 160014: 1, 170000: 2, 180004: 2} {
		if got := ManifestVersion(v); got != want {
			t.Errorf("manifest of %d: %d, want %d", v, got, want)
		}
	}
	if s, e := BackupFunctions(140000); s != "pg_start_backup" || e != "pg_stop_backup" {
		t.Error(s, e)
	}
	if s, e := BackupFunctions(150000); s != "pg_backup_start" || e != "pg_backup_stop" {
		t.Error(s, e)
	}
	if d := WALDirectories(170000); len(d) != 3 || d[2] != "pg_wal/summaries" {
		t.Error(d)
	}
	if d := WALDirectories(160000); len(d) != 2 {
		t.Error(d)
	}
}
