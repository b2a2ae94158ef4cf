package postgres

import "encoding/binary"

// Operations of the resource manager XLOG (pg_control.h), the upper four bits of the info.
const (
	xlogCheckpointShutdown  = 0x00
	xlogCheckpointOnline    = 0x10
	xlogSwitch              = 0x40
	xlogBackupEnd           = 0x50
	xlogParameterChange     = 0x60
	xlogRestorePoint        = 0x70
	xlogFPWChange           = 0x80
	xlogEndOfRecovery       = 0x90
	xlogOverwriteContRecord = 0xD0 // 11.14 and later; PolarDB 11 uses the number for something else
	xlogCheckpointRedo      = 0xE0 // since 17; PolarDB 11 uses the number for something else
)

// WALKind tells the records that matter to a backup from all others.
type WALKind uint8

const (
	WALOther WALKind = iota
	WALShutdownCheckpoint
	WALOnlineCheckpoint
	WALCheckpointRedo
	WALSwitch
	WALBackupEnd
	WALParameterChange
	WALRestorePoint
	WALFullPageWrites // full_page_writes was switched
	WALEndOfRecovery
	WALOverwriteContRecord
	WALDatabaseFileCopy // a database was made by copying files: CREATE DATABASE up to 14, STRATEGY file_copy and SET TABLESPACE since
	WALTablespaceCreate
)

var walKindNames = [...]string{"other", "CHECKPOINT_SHUTDOWN", "CHECKPOINT_ONLINE", "CHECKPOINT_REDO", "SWITCH", "BACKUP_END", "PARAMETER_CHANGE", "RESTORE_POINT",
	"FPW_CHANGE", "END_OF_RECOVERY", "OVERWRITE_CONTRECORD", "CREATE_FILE_COPY", "CREATE TABLESPACE"}

// String is the name of the operation in pg_waldump.
func (k WALKind) String() string {
	if int(k) < len(walKindNames) {
		return walKindNames[k]
	}
	return walKindNames[WALOther]
}

var xlogKinds = map[uint8]WALKind{
	xlogCheckpointShutdown: WALShutdownCheckpoint, xlogCheckpointOnline: WALOnlineCheckpoint, xlogSwitch: WALSwitch, xlogBackupEnd: WALBackupEnd,
	xlogParameterChange: WALParameterChange, xlogRestorePoint: WALRestorePoint, xlogFPWChange: WALFullPageWrites, xlogEndOfRecovery: WALEndOfRecovery,
}

// Kind classifies the record.
func (r *WALRecord) Kind() WALKind {
	op := r.Info & 0xF0
	switch {
	case r.Rmgr == RmgrXLOG && op == xlogCheckpointRedo && r.Major >= 17:
		return WALCheckpointRedo
	case r.Rmgr == RmgrXLOG && op == xlogOverwriteContRecord && r.Overwritten != 0:
		return WALOverwriteContRecord
	case r.Rmgr == RmgrXLOG:
		return xlogKinds[op]
	case r.Rmgr == RmgrDatabase && op == 0x00: // XLOG_DBASE_CREATE, since 15 XLOG_DBASE_CREATE_FILE_COPY
		return WALDatabaseFileCopy
	case r.Rmgr == RmgrTablespace && op == 0x00: // XLOG_TBLSPC_CREATE
		return WALTablespaceCreate
	}
	return WALOther
}

// WALCheckpoint is the payload of a checkpoint record that a backup needs.
type WALCheckpoint struct {
	Redo                   LSN
	Timeline, PrevTimeline uint32
	FullPageWrites         bool
	NextXID                uint64 // epoch in the upper half
}

// Checkpoint decodes a record of kind WALShutdownCheckpoint or WALOnlineCheckpoint.
func (r *WALRecord) Checkpoint() (c WALCheckpoint, err error) {
	l := checkpoint12
	if r.Major < 12 {
		l = checkpoint11
	}
	b, err := r.payload(l.size)
	if err != nil {
		return c, err
	}
	le := binary.LittleEndian
	return WALCheckpoint{LSN(le.Uint64(b)), le.Uint32(b[8:]), le.Uint32(b[12:]), b[16] != 0, l.nextXID(b)}, nil
}

// FullPageWrites decodes a record of kind WALFullPageWrites: the new value.
func (r *WALRecord) FullPageWrites() (on bool, err error) {
	b, err := r.payload(1)
	return err == nil && b[0] != 0, err
}

// BackupStart decodes a record of kind WALBackupEnd: the start position of the backup that ended.
func (r *WALRecord) BackupStart() (LSN, error) {
	b, err := r.payload(8)
	if err != nil {
		return 0, err
	}
	return LSN(binary.LittleEndian.Uint64(b)), nil
}

// WALLevel decodes a record of kind WALParameterChange: the new wal_level, 0 minimal, 1 replica, 2 logical.
func (r *WALRecord) WALLevel() (uint32, error) {
	at := 20
	if r.Major < 12 { // max_wal_senders came in 12
		at = 16
	}
	b, err := r.payload(at + 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[at:]), nil
}

// Timelines decodes a record of kind WALEndOfRecovery: the timeline that begins and the one before.
func (r *WALRecord) Timelines() (now, before uint32, err error) {
	b, err := r.payload(16)
	if err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]), nil
}

// RestorePoint decodes a record of kind WALRestorePoint: its name.
func (r *WALRecord) RestorePoint() (string, error) {
	b, err := r.payload(9)
	if err != nil {
		return "", err
	}
	return cString(b[8:]), nil
}

// CreatedDatabase decodes a record of kind WALDatabaseFileCopy: object id of the new database.
func (r *WALRecord) CreatedDatabase() (uint32, error) {
	b, err := r.payload(16)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// CreatedTablespace decodes a record of kind WALTablespaceCreate.
func (r *WALRecord) CreatedTablespace() (TablespaceLink, error) {
	b, err := r.payload(5)
	if err != nil {
		return TablespaceLink{}, err
	}
	return TablespaceLink{OID: binary.LittleEndian.Uint32(b), Location: cString(b[4:])}, nil
}

func (r *WALRecord) payload(size int) ([]byte, error) {
	b, err := r.MainData()
	if err == nil && len(b) < size {
		err = r.corrupt("its payload is too short for " + r.Kind().String())
	}
	return b, err
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
