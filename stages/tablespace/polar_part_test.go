package tablespace

import "testing"

func TestPart(t *testing.T) {
	config, none, replica := part{local: LocalConfig}, part{local: LocalNone}, part{local: LocalConfig, noShared: true}
	for _, c := range []struct {
		name                string
		config, none, share bool
	}{
		{"PG_VERSION", true, false, true},
		{"postgresql.conf", true, false, true},
		{"conf.d/extra.conf", true, false, true},
		{"server.key", true, false, true},
		{"pg_tblspc/16400", true, false, true},
		{"backup_label", true, true, false},
		{"tablespace_map", true, true, false},
		{"pg_xact/0000", false, false, false},
		{"base/1/1249", false, false, false},
		{"pg_log/postgresql.log", false, false, false},
	} {
		if !(part{}).keep(c.name) || config.keep(c.name) != c.config || none.keep(c.name) != c.none || replica.keep(c.name) != c.share {
			t.Errorf("%s: full %v, config %v, none %v, replica %v", c.name, part{}.keep(c.name), config.keep(c.name), none.keep(c.name), replica.keep(c.name))
		}
	}
	for name, want := range map[string]bool{"base/5": true, "base": false, "base/5/x": false, "pg_xact": false} {
		if config.keepDir(name) != want || none.keepDir(name) || !(part{}).keepDir(name) {
			t.Errorf("directory %s", name)
		}
	}
}

func TestStatusName(t *testing.T) {
	const seg = "00000001000000000000000C"
	for name, want := range map[string]string{
		"file-dio:///abs/shared/pg_wal/archive_status/" + seg + ".done":     "pg_wal/archive_status/" + seg + ".done",
		"/nvme1n1/shared_data//pg_wal/archive_status/" + seg + ".ready":     "pg_wal/archive_status/" + seg + ".ready",
		"/nvme1n1/shared_data//pg_wal/archive_status/00000002.history.done": "pg_wal/archive_status/00000002.history.done",
		"pg_wal/archive_status/" + seg + ".done":                            "pg_wal/archive_status/" + seg + ".done",
		"/etc/archive_status/passwd":                                        "",
		"/nvme1n1/shared_data//pg_wal/archive_status/../../x.done":          "",
		"/x/pg_wal/archive_status/" + seg + ".done/y":                       "",
		"mypg_wal/archive_status/" + seg + ".done":                          "",
	} {
		got, ok := statusName(name)
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}
