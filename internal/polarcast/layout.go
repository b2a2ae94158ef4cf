package polarcast

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"polarcast/pipeline"
	"polarcast/stages/target"
)

// sameLayout takes over from the event log where the files of this target go, as far as this process was not told, and refuses what differs from where they
// are already: two processes that follow different mappings would write two halves of a copy.
func (r *Receiver) sameLayout(t pipeline.TargetState) error {
	j := t.Joined
	if j == nil {
		return nil
	}
	if r.Target.WALDir == "" {
		r.Target.WALDir = j.WALDirectory
	}
	if r.Target.SharedDir == "" {
		r.Target.SharedDir = j.SharedDirectory
	}
	me := r.joined()
	if len(me.Tablespaces) == 0 {
		for _, from := range slices.Sorted(maps.Keys(j.Tablespaces)) {
			r.Target.Tablespaces = append(r.Target.Tablespaces, target.Mapping{Old: from, New: j.Tablespaces[from]})
		}
		me = r.joined()
	}
	if t.Opened == nil {
		return nil // nothing was written yet
	}
	shared := func(dir string) string {
		if dir == "" {
			return filepath.Join(me.Directory, target.SharedDefault)
		}
		return dir
	}
	for _, c := range []struct{ option, mine, theirs string }{
		{"--waldir", me.WALDirectory, j.WALDirectory},
		{"--polardata", shared(me.SharedDirectory), shared(j.SharedDirectory)},
		{"--tablespace-mapping", mappings(me.Tablespaces), mappings(j.Tablespaces)},
	} {
		if c.mine != c.theirs {
			return fmt.Errorf("target \"%s\" of backup \"%s\" is being written with %s: give this process the same, not %s, or leave it out",
				r.Target.Name, r.Backup, setting(c.option, c.theirs), setting(c.option, c.mine))
		}
	}
	return nil
}

func setting(option, value string) string {
	if value == "" {
		return "no " + option
	}
	return option + "=" + value
}

func mappings(m map[string]string) string {
	var all []string
	for _, from := range slices.Sorted(maps.Keys(m)) {
		all = append(all, from+"="+m[from])
	}
	return strings.Join(all, " "+"--tablespace-mapping=")
}
