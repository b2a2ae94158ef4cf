package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Names of the two files that a server writes at the end of backup mode.
const (
	BackupLabelFile   = "backup_label"
	TablespaceMapFile = "tablespace_map"
)

// Values of BackupLabel.Method and BackupLabel.From.
const (
	MethodStreamed = "streamed"
	MethodRewind   = "pg_rewind"
	FromPrimary    = "primary" // since 14
	FromMaster     = "master"  // up to 13, and PolarDB 11
	FromStandby    = "standby"
)

// ErrBackupLabel is wrapped by all errors about a label that cannot be read.
var ErrBackupLabel = errors.New("invalid backup_label")

// BackupLabel is the content of backup_label (do_pg_backup_start in xlog.c, since 16 build_backup_content in xlogbackup.c). A label that is passed on
// unchanged should be passed on as the bytes that the server gave, not rendered again.
type BackupLabel struct {
	StartLSN      LSN    // redo position of the start checkpoint
	StartSegment  string // name of the segment file that holds it
	CheckpointLSN LSN    // position of the start checkpoint's record
	Method        string // MethodStreamed or MethodRewind
	From          string // FromPrimary, FromMaster or FromStandby
	StartTime     string // as the server wrote it, in its log_timezone
	Label         string // absent in pg_rewind's; may hold line ends
	StartTimeline uint32 // 0 when absent, as in pg_rewind's

	IncrementalFromLSN LSN // since 17, 0 for a full backup
	IncrementalFromTLI uint32
}

// labelKeys are the lines after the first two, in the order in which the server reads them.
const (
	keyStart      = "START WAL LOCATION: "
	keyCheckpoint = "CHECKPOINT LOCATION: "
	keyMethod     = "BACKUP METHOD: "
	keyFrom       = "BACKUP FROM: "
	keyTime       = "START TIME: "
	keyLabel      = "LABEL: "
	keyTimeline   = "START TIMELINE: "
	keyIncLSN     = "INCREMENTAL FROM LSN: "
	keyIncTLI     = "INCREMENTAL FROM TLI: "
)

// ParseBackupLabel reads a label. The first two lines are required, as the server requires them; unknown lines belong to the label text when they follow it
// and are ignored elsewhere.
func ParseBackupLabel(data []byte) (*BackupLabel, error) {
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], keyStart) || !strings.HasPrefix(lines[1], keyCheckpoint) {
		return nil, fmt.Errorf("%w: it does not begin with the start and checkpoint locations", ErrBackupLabel)
	}
	l := &BackupLabel{}
	if err := l.parseStart(lines[0][len(keyStart):]); err != nil {
		return nil, err
	}
	var err error
	if l.CheckpointLSN, err = ParseLSN(lines[1][len(keyCheckpoint):]); err != nil {
		return nil, fmt.Errorf("%w: checkpoint location: %w", ErrBackupLabel, err)
	}
	return l, l.parseRest(lines[2:])
}

func (l *BackupLabel) parseStart(s string) error {
	pos, file, ok := strings.Cut(s, " (file ")
	if !ok || !strings.HasSuffix(file, ")") || len(file) != 25 {
		return fmt.Errorf("%w: start location %q has no segment name", ErrBackupLabel, s)
	}
	l.StartSegment = file[:24]
	var err error
	if l.StartLSN, err = ParseLSN(pos); err != nil {
		return fmt.Errorf("%w: start location: %w", ErrBackupLabel, err)
	}
	return nil
}

func (l *BackupLabel) parseRest(lines []string) error {
	inLabel := false
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, keyTimeline):
			tli, err := strconv.ParseUint(line[len(keyTimeline):], 10, 32)
			if err != nil {
				return fmt.Errorf("%w: start timeline %q", ErrBackupLabel, line)
			}
			l.StartTimeline, inLabel = uint32(tli), false
		case strings.HasPrefix(line, keyIncLSN):
			lsn, err := ParseLSN(line[len(keyIncLSN):])
			if err != nil {
				return fmt.Errorf("%w: incremental start: %w", ErrBackupLabel, err)
			}
			l.IncrementalFromLSN, inLabel = lsn, false
		case strings.HasPrefix(line, keyIncTLI):
			tli, err := strconv.ParseUint(line[len(keyIncTLI):], 10, 32)
			if err != nil {
				return fmt.Errorf("%w: incremental timeline %q", ErrBackupLabel, line)
			}
			l.IncrementalFromTLI, inLabel = uint32(tli), false
		case inLabel:
			l.Label += "\n" + line
		case strings.HasPrefix(line, keyMethod):
			l.Method = line[len(keyMethod):]
		case strings.HasPrefix(line, keyFrom):
			l.From = line[len(keyFrom):]
		case strings.HasPrefix(line, keyTime):
			l.StartTime = line[len(keyTime):]
		case strings.HasPrefix(line, keyLabel):
			l.Label, inLabel = line[len(keyLabel):], true
		}
	}
	return nil
}

// Bytes renders the label as the server does; lines whose value is empty are left out, as in pg_rewind's.
func (l *BackupLabel) Bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s (file %s)\n%s%s\n", keyStart, l.StartLSN, l.StartSegment, keyCheckpoint, l.CheckpointLSN)
	for _, kv := range [...][2]string{{keyMethod, l.Method}, {keyFrom, l.From}, {keyTime, l.StartTime}, {keyLabel, l.Label}} {
		if kv[1] != "" {
			b.WriteString(kv[0] + kv[1] + "\n")
		}
	}
	if l.StartTimeline != 0 {
		fmt.Fprintf(&b, "%s%d\n", keyTimeline, l.StartTimeline)
	}
	if l.IncrementalFromLSN != 0 {
		fmt.Fprintf(&b, "%s%s\n%s%d\n", keyIncLSN, l.IncrementalFromLSN, keyIncTLI, l.IncrementalFromTLI)
	}
	return b.Bytes()
}

// StitchedLabel is the label of a backup whose files come from several sessions on one timeline: replay begins at the redo position of the FIRST
// session's start checkpoint. It is marked as taken from a standby, so that the server takes the end from the control file
// (Control.RequireRecoveryTo) instead of waiting for an end-of-backup record, which carries another session's start.
func StitchedLabel(redo, checkpoint LSN, timeline uint32, segSize int64, startTime, label string) *BackupLabel {
	return &BackupLabel{
		StartLSN: redo, StartSegment: SegmentName(timeline, redo, segSize), CheckpointLSN: checkpoint,
		Method: MethodStreamed, From: FromStandby, StartTime: startTime, Label: label, StartTimeline: timeline,
	}
}
