package cli

import (
	"fmt"
	"strings"
	"time"
)

// progressFilename is the width of the file name in the line of -P -v
// (VERBOSE_FILENAME_LENGTH in pg_basebackup.c).
const progressFilename = 35

// Progress prints the line of pg_basebackup -P, as progress_report() does: on a
// terminal one line that updates, elsewhere one line for each report. Make it with
// [Messages.Progress]; its method may be called from several goroutines.
type Progress struct {
	m    *Messages
	now  func() time.Time
	last time.Time
}

// Position is how far a backup is.
type Position struct {
	DoneBytes   int64  // received so far
	TotalKB     int64  // what the server said at the start; 0 when unknown
	Tablespace  int    // archives that are complete, from 0 to Tablespaces
	Tablespaces int    // in all
	File        string // being received; shown with -v
}

// Progress starts a progress line on the messages' output.
func (m *Messages) Progress() *Progress { return &Progress{m: m, now: time.Now} }

// Report prints the position, at most once a second unless force is set. The
// last report of a backup has finished set, and ends the line.
func (p *Progress) Report(pos Position, force, finished bool) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	now := p.now()
	if now.Unix() == p.last.Unix() && !p.last.IsZero() && !force && !finished {
		return
	}
	p.last = now
	p.m.update(p.m.progressLine(pos, finished), finished)
}

func (m *Messages) progressLine(pos Position, finished bool) string {
	doneKB, totalKB := max(pos.DoneBytes, 0)/1024, max(pos.TotalKB, 0)
	percent := int64(0)
	if totalKB > 0 {
		percent = int64(float64(doneKB) / float64(totalKB) * 100)
		if doneKB < 1<<50 { // exact where it fits, as the original counts
			percent = doneKB * 100 / totalKB
		}
	}
	// The estimate is always wrong when WAL is included; the line never says more
	// than all of it.
	percent = min(percent, 100)
	totalKB = max(totalKB, doneKB)
	if finished && m.verbose {
		percent = 100
	}
	total := fmt.Sprint(totalKB)
	noun := "tablespaces"
	if pos.Tablespaces == 1 {
		noun = "tablespace"
	}
	line := fmt.Sprintf("%*d/%s kB (%d%%), %d/%d %s", len(total), doneKB, total, percent, pos.Tablespace, pos.Tablespaces, noun)
	switch {
	case !m.verbose:
		return line
	case finished || pos.File == "":
		return line + " " + strings.Repeat(" ", progressFilename+5)
	case len(pos.File) > progressFilename:
		return line + " (..." + pos.File[len(pos.File)-progressFilename+3:] + ")"
	default:
		return fmt.Sprintf("%s (%s%s)", line, pos.File, strings.Repeat(" ", progressFilename-len(pos.File)))
	}
}
