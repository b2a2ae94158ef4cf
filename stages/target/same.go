package target

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"polarcast/messages"
	"polarcast/pipeline"
)

// event is what the event log says of where files go besides the data directory.
func (l *Layout) event() *messages.TargetLayout {
	e := &messages.TargetLayout{WALDirectory: l.cfg.WALDir, SharedDirectory: l.sharedDir}
	if l.shared != nil {
		e.SharedDisk = l.shared.Info().Disk
	}
	for _, m := range l.cfg.Tablespaces {
		if e.Tablespaces == nil {
			e.Tablespaces = map[string]string{}
		}
		e.Tablespaces[m.Old] = m.New
	}
	return e
}

// Adopt takes over where files go as far as c does not say it. A directory on PFS needs to be said, since its disk has to be mounted.
func (c *Config) Adopt(e messages.TargetLayout) {
	if c.WALDir == "" {
		c.WALDir = e.WALDirectory
	}
	if c.SharedDir == "" && e.SharedDisk == "" {
		c.SharedDir = e.SharedDirectory
	}
	if len(c.Tablespaces) > 0 {
		return
	}
	for _, from := range slices.Sorted(maps.Keys(e.Tablespaces)) {
		c.Tablespaces = append(c.Tablespaces, Mapping{Old: from, New: e.Tablespaces[from]})
	}
}

// same refuses a layout other than the one that a process of the target has opened: each would write a part of the files somewhere else.
func (l *Layout) same(st pipeline.State) error {
	t := st.Targets[l.cfg.Name]
	if t.Opened == nil || t.Opened.Layout == nil {
		return nil
	}
	me, they := l.event(), t.Opened.Layout
	for _, c := range []struct{ option, mine, theirs string }{
		{"--waldir", me.WALDirectory, they.WALDirectory},
		{"--polardata", me.SharedDirectory, they.SharedDirectory},
		{"--polar_disk_name", me.SharedDisk, they.SharedDisk},
		{"--tablespace-mapping", mappings(me.Tablespaces), mappings(they.Tablespaces)},
	} {
		if c.mine != c.theirs {
			return fmt.Errorf("target \"%s\" of backup \"%s\" is being written with %s: give this process the same, not %s", l.cfg.Name, st.Backup,
				setting(c.option, c.theirs), setting(c.option, c.mine))
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
	return strings.Join(all, " --tablespace-mapping=")
}
