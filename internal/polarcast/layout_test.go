package polarcast

import (
	"strings"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// TestProcessesOfATargetWriteToOnePlace has a process that was told less than the one that writes, as much, and something else.
func TestProcessesOfATargetWriteToOnePlace(t *testing.T) {
	joined := &messages.TargetJoined{Target: "a", Directory: "/data", WALDirectory: "/wal", Tablespaces: map[string]string{"/ts1": "/new1", "/ts2": "/new2"}}
	both := []target.Mapping{{Old: "/ts2", New: "/new2"}, {Old: "/ts1", New: "/new1"}}
	for _, c := range []struct {
		name   string
		mine   target.Config
		opened bool
		want   string // of the error
	}{
		{"nothing said", target.Config{}, true, ""},
		{"the same said", target.Config{WALDir: "/wal", Tablespaces: both, SharedDir: "/data/polar_shared_data"}, true, ""},
		{"another WAL directory", target.Config{WALDir: "/wal2"}, true, "with --waldir=/wal: give this process the same, not --waldir=/wal2"},
		{"another shared directory", target.Config{SharedDir: "/shared"}, true, "with --polardata=/data/polar_shared_data"},
		{"another mapping", target.Config{Tablespaces: both[:1]}, true, "--tablespace-mapping=/ts1=/new1 --tablespace-mapping=/ts2=/new2: give this process the same, not --tablespace-mapping=/ts2=/new2"},
		{"another mapping, and nothing written", target.Config{Tablespaces: both[:1]}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.mine.Name, c.mine.Dir = "a", "/data"
			r := &Receiver{Backup: "b", Target: c.mine}
			st := pipeline.TargetState{Joined: joined}
			if c.opened {
				st.Opened = &messages.TargetOpened{}
			}
			err := r.sameLayout(st)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil || r.Target.WALDir != "/wal" || c.opened && len(r.Target.Tablespaces) != 2 {
				t.Errorf("%+v, %v", r.Target, err)
			}
		})
	}
	r := &Receiver{Backup: "b", Target: target.Config{Name: "a", Dir: "/data", Tablespaces: both}}
	err := r.sameLayout(pipeline.TargetState{Joined: &messages.TargetJoined{Target: "a", Directory: "/data"}, Opened: &messages.TargetOpened{}})
	if err == nil || !strings.Contains(err.Error(), "with no --tablespace-mapping: give this process the same") {
		t.Error(err)
	}
}
