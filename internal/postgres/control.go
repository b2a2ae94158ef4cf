package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// ControlFileSize is the size of global/pg_control in bytes (PG_CONTROL_FILE_SIZE); less than 300 of them carry data.
const ControlFileSize = 8192

// ControlFilePath is where the control file lies below the data directory (PolarDB: the shared one).
const ControlFilePath = "global/pg_control"

// Errors of ParseControl.
var (
	// ErrControlChecksum: the CRC does not fit. A server writes the file in place, so a reader may see a torn one: read again.
	ErrControlChecksum = errors.New("the checksum of the control file does not match its contents")
	// ErrControlVersion: a pg_control_version that this package has no offsets for.
	ErrControlVersion = errors.New("unknown version of the control file")
	// ErrControlShort: fewer bytes than the version needs.
	ErrControlShort = errors.New("the control file is too short")
)

// DBState is the state of the cluster in the control file (enum DBState in pg_control.h).
type DBState uint32

// The states, with the numbers that all majors from 11 to 18 use.
const (
	DBStartup DBState = iota
	DBShutDown
	DBShutDownInRecovery
	DBShuttingDown
	DBInCrashRecovery
	DBInArchiveRecovery
	DBInProduction
)

// String is the wording of pg_controldata.
func (s DBState) String() string {
	names := [...]string{"starting up", "shut down", "shut down in recovery", "shutting down", "in crash recovery", "in archive recovery", "in production"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("unrecognized status code %d", uint32(s))
}

// Control is the content of pg_control. The fields of the first group are read only; Bytes writes those of the second back.
type Control struct {
	SystemID            uint64
	Version             uint32 // pg_control_version: 1100, 1201, 1300, 1700 or 1800
	CatalogVersion      uint32
	Time                time.Time // last update
	Checkpoint          LSN       // position of the latest checkpoint record
	Redo                LSN       // where replay from that checkpoint begins
	Timeline            uint32    // of that checkpoint
	PrevTimeline        uint32
	FullPageWrites      bool
	NextXID             uint64 // epoch in the upper half
	CheckpointTime      time.Time
	WALLevel            uint32 // 0 minimal, 1 replica, 2 logical
	BlockSize           uint32 // bytes
	RelSegBlocks        uint32 // blocks in one segment file of a relation
	WALBlockSize        uint32 // bytes
	WALSegmentSize      uint32 // bytes
	DataChecksumVersion uint32 // 0 when pages have no checksums

	State               DBState
	MinRecoveryPoint    LSN
	MinRecoveryTimeline uint32
	BackupStartPoint    LSN
	BackupEndPoint      LSN
	BackupEndRequired   bool
	raw                 []byte
	layout              *controlLayout
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ParseControl reads pg_control of PostgreSQL 11 to 18 and PolarDB 11 and 15, and checks its CRC. With ErrControlChecksum the fields are returned
// too, for messages; nothing in them can be trusted.
func ParseControl(data []byte) (*Control, error) {
	if len(data) < 16 {
		return nil, fmt.Errorf("%w: %d bytes", ErrControlShort, len(data))
	}
	le := binary.LittleEndian
	version := le.Uint32(data[8:])
	l := controlLayouts[version]
	if l == nil {
		if swapped := binary.BigEndian.Uint32(data[8:]); controlLayouts[swapped] != nil {
			return nil, fmt.Errorf("%w: it was written on a machine with the other byte order", ErrControlVersion)
		}
		return nil, fmt.Errorf("%w: %d (11 to 18 have 1100, 1201, 1300, 1700, 1800)", ErrControlVersion, version)
	}
	if len(data) < l.crc+4 {
		return nil, fmt.Errorf("%w: %d bytes, version %d needs %d", ErrControlShort, len(data), version, l.crc+4)
	}
	c := &Control{layout: l, raw: make([]byte, max(len(data), ControlFileSize))}
	copy(c.raw, data)
	u32 := func(at int) uint32 { return le.Uint32(c.raw[at:]) }
	u64 := func(at int) uint64 { return le.Uint64(c.raw[at:]) }
	c.SystemID, c.Version, c.CatalogVersion = u64(0), version, u32(12)
	c.State, c.Time = DBState(u32(16)), time.Unix(int64(u64(24)), 0).UTC()
	c.Checkpoint, c.Redo, c.Timeline, c.PrevTimeline = LSN(u64(32)), LSN(u64(40)), u32(48), u32(52)
	c.FullPageWrites = c.raw[56] != 0
	c.NextXID = l.checkpoint.nextXID(c.raw[controlCheckpointCopy:])
	c.CheckpointTime = time.Unix(int64(u64(controlCheckpointCopy+l.checkpoint.time)), 0).UTC()
	c.MinRecoveryPoint, c.MinRecoveryTimeline = LSN(u64(l.minRecovery)), u32(l.minRecovery+8)
	c.BackupStartPoint, c.BackupEndPoint, c.BackupEndRequired = LSN(u64(l.backupStart)), LSN(u64(l.backupStart+8)), c.raw[l.backupStart+16] != 0
	c.WALLevel = u32(l.walLevel)
	c.BlockSize, c.RelSegBlocks, c.WALBlockSize, c.WALSegmentSize = u32(l.sizes), u32(l.sizes+4), u32(l.sizes+8), u32(l.sizes+12)
	c.DataChecksumVersion = u32(l.checksumVersion)
	if got, want := u32(l.crc), crc32.Checksum(c.raw[:l.crc], castagnoli); got != want {
		return c, fmt.Errorf("%w: it holds %08X, calculated %08X", ErrControlChecksum, got, want)
	}
	return c, nil
}

// Bytes is the whole file with the fields of the second group as they are now and a CRC that fits.
func (c *Control) Bytes() []byte {
	l, le := c.layout, binary.LittleEndian
	out := append([]byte(nil), c.raw...)
	le.PutUint32(out[16:], uint32(c.State))
	le.PutUint64(out[l.minRecovery:], uint64(c.MinRecoveryPoint))
	le.PutUint32(out[l.minRecovery+8:], c.MinRecoveryTimeline)
	le.PutUint64(out[l.backupStart:], uint64(c.BackupStartPoint))
	le.PutUint64(out[l.backupStart+8:], uint64(c.BackupEndPoint))
	out[l.backupStart+16] = 0
	if c.BackupEndRequired {
		out[l.backupStart+16] = 1
	}
	le.PutUint32(out[l.crc:], crc32.Checksum(out[:l.crc], castagnoli))
	return out
}

// RequireRecoveryTo makes the server that starts with this file replay write-ahead log at least up to end on timeline tli before it lets anyone
// in, as a base backup from a standby does. It is how a backup of several sessions gets its end point: together with a label
// made by BackupLabel.Stitched, and never without it.
func (c *Control) RequireRecoveryTo(end LSN, tli uint32) {
	c.State = DBInArchiveRecovery
	c.MinRecoveryPoint, c.MinRecoveryTimeline = end, tli
	c.BackupStartPoint, c.BackupEndPoint, c.BackupEndRequired = 0, 0, false
}
