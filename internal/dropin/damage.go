package dropin

import (
	"fmt"
	"sort"
	"sync"

	"polarcast/messages"
	"polarcast/stages/work"
)

// maxNamedFailures is how many bad pages of one file the server names (basebackup.c, sendFile).
const maxNamedFailures = 5

// damage tells of bad pages that this program found in the words that the server has for those that it finds itself.
type damage struct {
	ui UI

	mu    sync.Mutex
	files map[string]int64
}

func (d *damage) found(p work.PagesDamaged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files == nil {
		d.files = map[string]int64{}
	}
	name := "./" + p.Path
	if p.Tree == messages.TreeShared {
		name = p.Path
	}
	before := d.files[name]
	for i, page := range p.Pages {
		if n := before + int64(i); n < maxNamedFailures {
			d.ui.ServerWarning(fmt.Sprintf("checksum verification failed in file \"%s\", block %d", name, page))
		}
	}
	d.files[name] += p.Count
	if before <= maxNamedFailures && d.files[name] > maxNamedFailures {
		d.ui.ServerWarning(fmt.Sprintf("further checksum verification failures in file \"%s\" will not be reported", name))
	}
}

// total ends the report, when there was more than one.
func (d *damage) total() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	var all int64
	for name, n := range d.files {
		names = append(names, name)
		all += n
	}
	sort.Strings(names)
	for _, name := range names {
		if n := d.files[name]; n > 1 {
			d.ui.ServerWarning(fmt.Sprintf("file \"%s\" has a total of %d checksum verification failures", name, n))
		}
	}
	if all > 1 {
		d.ui.ServerWarning(fmt.Sprintf("%d total checksum verification failures", all))
	}
}
