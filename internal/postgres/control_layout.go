package postgres

import "encoding/binary"

// controlCheckpointCopy is the offset of checkPointCopy, the same in all versions.
const controlCheckpointCopy = 40

// controlLayout holds byte offsets into pg_control for one pg_control_version (little endian, 8-byte alignment). The first 57 bytes are the
// same in all of them. Sources: pg_control.h of each major; the offsets of state, minimum recovery point and CRC were seen on real servers.
type controlLayout struct {
	checkpoint      *checkpointLayout
	minRecovery     int // u64, then u32 timeline
	backupStart     int // u64 start, u64 end, u8 required
	walLevel        int // u32
	sizes           int // u32 blcksz, relseg_size, xlog_blcksz, xlog_seg_size
	checksumVersion int // u32
	crc             int // u32 CRC-32C over everything before it
}

// checkpointLayout holds offsets into struct CheckPoint, which is the payload of checkpoint records too. Redo (0), timelines (8, 12) and
// fullPageWrites (16) are the same in all versions.
type checkpointLayout struct {
	splitXID bool // 11: u32 epoch at 20, u32 xid at 24; since 12 one u64 at 24
	time     int
	size     int // bytes up to the last field
}

var (
	checkpoint11 = &checkpointLayout{splitXID: true, time: 56, size: 76}
	checkpoint12 = &checkpointLayout{time: 64, size: 84}

	controlLayouts = map[uint32]*controlLayout{
		1100: {checkpoint11, 128, 144, 164, 208, 244, 280},
		1201: {checkpoint12, 136, 152, 172, 216, 252, 288},
		1300: {checkpoint12, 136, 152, 172, 216, 252, 288},
		1700: {checkpoint12, 136, 152, 172, 216, 252, 288},
		1800: {checkpoint12, 136, 152, 172, 216, 252, 292},
	}
)

// nextXID reads the next transaction id with its epoch in the upper half.
func (l *checkpointLayout) nextXID(b []byte) uint64 {
	if l.splitXID {
		return uint64(binary.LittleEndian.Uint32(b[20:]))<<32 | uint64(binary.LittleEndian.Uint32(b[24:]))
	}
	return binary.LittleEndian.Uint64(b[24:])
}
