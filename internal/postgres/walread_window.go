package postgres

import (
	"context"
	"errors"
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

// WALWindow is what Scan saw. A scan of the same log can go on in another process with a window that has LastRecord, End, LastCRC, Timeline and Shutdowns.
type WALWindow struct {
	Records    int64
	LastRecord LSN // where the last record begins, 0 before the first
	End        LSN // end of the last record
	LastCRC    uint32
	Timeline   uint32 // of the last record; 0 is any, before the first
	Shutdowns  int    // shutdown checkpoints since the last online one
	BackupEnds []LSN
	Findings   []WALFinding // the first maxFindings, in order
}

const maxFindings = 100

// ErrWALOther: at the position of a record that was read before there is another one now, as on a server that was set back to an earlier moment.
var ErrWALOther = errors.New("not the write-ahead log that was read before")

// Scan reads all records of r, which covers the log from the first session's redo position to the end of the backup, and collects what forbids
// to join files of several sessions into one backup: pages without full page images, files that appear in no session's listing and are not
// replayed faithfully, a change of timeline. That there is no finding is necessary, not sufficient: a change of full_page_writes across
// a crash before the first checkpoint leaves no trace, therefore two shutdown checkpoints without an online one between count as a finding. An error means that
// the window could not be read to its end, which forbids it too.
//
// In a window that has a last record r must begin there, and that record is not judged again: the error wraps ErrWALOther when it is another one. each, when
// it is not nil, is called after every record; its error ends the scan.
func (w *WALWindow) Scan(ctx context.Context, r *WALReader, each func() error) error {
	var rec WALRecord
	again := w.LastRecord != 0
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := r.Next(&rec)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if again {
			if again = false; rec.LSN != w.LastRecord || rec.End != w.End || rec.CRC != w.LastCRC || rec.Timeline != w.Timeline {
				return fmt.Errorf("%w: the record at %s ended at %s with checksum %08X, there is one at %s that ends at %s with %08X", ErrWALOther,
					w.LastRecord, w.End, w.LastCRC, rec.LSN, rec.End, rec.CRC)
			}
			continue
		}
		w.Records++
		w.LastRecord, w.End, w.LastCRC = rec.LSN, rec.End, rec.CRC
		if w.Timeline != 0 && rec.Timeline != w.Timeline {
			w.add(&rec, fmt.Sprintf("timeline %d begins", rec.Timeline))
		}
		w.Timeline = rec.Timeline
		if err := w.judge(&rec); err != nil {
			return err
		}
		if each != nil {
			if err := each(); err != nil {
				return err
			}
		}
	}
}

func (w *WALWindow) judge(rec *WALRecord) error {
	switch rec.Kind() {
	case WALShutdownCheckpoint, WALOnlineCheckpoint:
		return w.judgeCheckpoint(rec)
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

func (w *WALWindow) judgeCheckpoint(rec *WALRecord) error {
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
		w.Shutdowns = 0
		return nil
	}
	if w.Shutdowns++; w.Shutdowns == 2 {
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
