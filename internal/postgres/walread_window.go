package postgres

import (
	"context"
	"fmt"
	"io"
)

// WALFinding is a record in the window of a stitched backup that forbids it.
type WALFinding struct {
	LSN    LSN
	Kind   WALKind
	Reason string
}

// String names the position and the reason.
func (f WALFinding) String() string { return fmt.Sprintf("%s: %s", f.LSN, f.Reason) }

// WALWindow is what ScanWALWindow saw.
type WALWindow struct {
	Records    int64
	LastRecord LSN
	End        LSN // end of the last record
	BackupEnds []LSN
	Findings   []WALFinding // the first maxFindings, in order
}

const maxFindings = 100

// ScanWALWindow reads all records of r, which covers the log from the first session's redo position to the end of the backup, and collects what forbids
// to join files of several sessions into one backup: pages without full page images, files that appear in no session's listing and are not
// replayed faithfully, a change of timeline. That there is no finding is necessary, not sufficient: a change of full_page_writes across
// a crash before the first checkpoint leaves no trace, therefore two shutdown checkpoints without an online one between count as a finding. An error means that
// the window could not be read to its end, which forbids it too.
func ScanWALWindow(ctx context.Context, r *WALReader) (*WALWindow, error) {
	w := &WALWindow{}
	shutdowns := 0
	var timeline uint32
	var rec WALRecord
	for {
		if w.Records%1024 == 0 && ctx.Err() != nil {
			return w, ctx.Err()
		}
		err := r.Next(&rec)
		if err == io.EOF {
			return w, nil
		}
		if err != nil {
			return w, err
		}
		w.Records++
		w.LastRecord, w.End = rec.LSN, rec.End
		if timeline != 0 && rec.Timeline != timeline {
			w.add(&rec, fmt.Sprintf("timeline %d begins", rec.Timeline))
		}
		timeline = rec.Timeline
		if err := w.judge(&rec, &shutdowns); err != nil {
			return w, err
		}
	}
}

func (w *WALWindow) judge(rec *WALRecord, shutdowns *int) error {
	switch rec.Kind() {
	case WALShutdownCheckpoint, WALOnlineCheckpoint:
		return w.judgeCheckpoint(rec, shutdowns)
	case WALFullPageWrites:
		on, err := rec.FullPageWrites()
		if err != nil {
			return err
		}
		w.add(rec, fmt.Sprintf("full_page_writes was switched, now %v", onOff(on)))
	case WALEndOfRecovery:
		now, before, err := rec.Timelines()
		if err != nil {
			return err
		}
		w.add(rec, fmt.Sprintf("a server was promoted, from timeline %d to %d", before, now))
	case WALDatabaseFileCopy:
		oid, err := rec.CreatedDatabase()
		if err != nil {
			return err
		}
		w.add(rec, fmt.Sprintf("database %d was created by copying files", oid))
	case WALTablespaceCreate:
		link, err := rec.CreatedTablespace()
		if err != nil {
			return err
		}
		w.add(rec, fmt.Sprintf("tablespace %d was created at %q", link.OID, link.Location))
	case WALParameterChange:
		level, err := rec.WALLevel()
		if err != nil {
			return err
		}
		if level == 0 {
			w.add(rec, "wal_level was set to minimal")
		}
	case WALBackupEnd:
		start, err := rec.BackupStart()
		if err != nil {
			return err
		}
		if len(w.BackupEnds) < maxFindings {
			w.BackupEnds = append(w.BackupEnds, start)
		}
	}
	return nil
}

func (w *WALWindow) judgeCheckpoint(rec *WALRecord, shutdowns *int) error {
	c, err := rec.Checkpoint()
	if err != nil {
		return err
	}
	if !c.FullPageWrites {
		w.add(rec, "a checkpoint was made with full_page_writes off")
	}
	if c.PrevTimeline != c.Timeline {
		w.add(rec, fmt.Sprintf("a server was promoted, from timeline %d to %d", c.PrevTimeline, c.Timeline))
	}
	if rec.Kind() == WALOnlineCheckpoint {
		*shutdowns = 0
		return nil
	}
	if *shutdowns++; *shutdowns == 2 {
		w.add(rec, "two shutdown checkpoints without an online checkpoint between: full_page_writes may have been off in the meantime")
	}
	return nil
}

func (w *WALWindow) add(rec *WALRecord, reason string) {
	if len(w.Findings) < maxFindings {
		w.Findings = append(w.Findings, WALFinding{LSN: rec.LSN, Kind: rec.Kind(), Reason: reason})
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
