package postgres

import (
	"encoding/binary"
	"fmt"
)

// Resource managers (rmgrlist.h). The numbers are the same from 11 to 18 and in PolarDB; since 15 extensions may have 128 to 255.
const (
	RmgrXLOG       = 0
	RmgrDatabase   = 4
	RmgrTablespace = 5
)

var rmgrNames = [...]string{"XLOG", "Transaction", "Storage", "CLOG", "Database", "Tablespace", "MultiXact", "RelMap", "Standby", "Heap2", "Heap", "Btree", "Hash",
	"Gin", "Gist", "Sequence", "SPGist", "BRIN", "CommitTs", "ReplicationOrigin", "Generic", "LogicalMessage"}

// RmgrName is the name of a resource manager as pg_waldump shows it.
func RmgrName(id uint8) string {
	switch {
	case int(id) < len(rmgrNames):
		return rmgrNames[id]
	case id >= 128:
		return fmt.Sprintf("custom%03d", id)
	}
	return fmt.Sprintf("unknown%03d", id)
}

// WALBlock is a reference of a record to a block of a relation.
type WALBlock struct {
	ID         uint8
	Tablespace uint32 // object ids; unlike RelationFile these are never 0 for a tablespace
	Database   uint32
	Node       uint32
	Fork       Fork
	Block      uint32
	Image      bool // a full page image follows
}

// Bits of fork_flags (xlogrecord.h).
const (
	blockForkMask = 0x0F
	blockHasImage = 0x10
	blockSameRel  = 0x80
)

// Ids of record fragments. 252 is the top-level transaction since 14. PolarDB defines one more (252 in 11, 251 in 15) that nothing in its source writes.
const (
	blockIDMax         = 32
	blockIDDataShort   = 255
	blockIDDataLong    = 254
	blockIDOrigin      = 253
	blockIDTopLevelXID = 252
)

// Blocks are the block references of the record. The error wraps ErrWALCorrupt.
func (r *WALRecord) Blocks() ([]WALBlock, error) {
	var blocks []WALBlock
	_, err := r.decode(func(b WALBlock) { blocks = append(blocks, b) })
	return blocks, err
}

// MainData is the payload that belongs to no block. The error wraps ErrWALCorrupt.
func (r *WALRecord) MainData() ([]byte, error) { return r.decode(func(WALBlock) {}) }

// decode is DecodeXLogRecord: fragment headers first, then images and data of the blocks, then the main data.
func (r *WALRecord) decode(block func(WALBlock)) (main []byte, err error) {
	if len(r.Data) < walRecordHeader {
		return nil, r.corrupt("the record is too short")
	}
	rest := r.Data[walRecordHeader:]
	take := func(n int) []byte {
		if n > len(rest) {
			rest, err = nil, r.corrupt("a fragment header is cut off")
			return make([]byte, n)
		}
		b := rest[:n]
		rest = rest[n:]
		return b
	}
	le := binary.LittleEndian
	var payload, mainLen int
	var last WALBlock
	haveRel := false
	for len(rest) > payload && mainLen == 0 && err == nil {
		switch id := take(1)[0]; {
		case id == blockIDDataShort:
			mainLen = int(take(1)[0])
			payload += mainLen
			if mainLen == 0 && len(rest) > payload {
				return nil, r.corrupt("an empty main fragment")
			}
		case id == blockIDDataLong:
			n := le.Uint32(take(4))
			if uint64(n) > uint64(len(r.Data)) || n == 0 {
				return nil, r.corrupt("the main data is longer than the record")
			}
			mainLen = int(n)
			payload += mainLen
		case id == blockIDOrigin:
			take(2)
		case id == blockIDTopLevelXID && r.Major >= 14:
			take(4)
		case id <= blockIDMax:
			h := take(3)
			flags := h[0]
			payload += int(le.Uint16(h[1:]))
			if flags&blockHasImage != 0 {
				payload += r.imageLength(take)
			}
			if flags&blockSameRel == 0 {
				rel := take(12)
				last.Tablespace, last.Database, last.Node = le.Uint32(rel), le.Uint32(rel[4:]), le.Uint32(rel[8:])
				haveRel = true
			} else if !haveRel {
				return nil, r.corrupt("the first block names no relation")
			}
			last.ID, last.Fork, last.Image = id, Fork(flags&blockForkMask), flags&blockHasImage != 0
			last.Block = le.Uint32(take(4))
			if err == nil {
				block(last)
			}
		default:
			return nil, r.corrupt(fmt.Sprintf("unknown fragment %d", id))
		}
	}
	if err != nil {
		return nil, err
	}
	if len(rest) != payload {
		return nil, r.corrupt("the lengths of its fragments do not add up")
	}
	return rest[len(rest)-mainLen:], nil
}

// imageLength reads the header of a full page image and gives the length of the image in bytes. The flags moved in 15, when there came
// to be several methods of compression.
func (r *WALRecord) imageLength(take func(int) []byte) int {
	h := take(5)
	const hasHole = 0x01
	compressed := byte(0x02)
	if r.Major >= 15 {
		compressed = 0x04 | 0x08 | 0x10
	}
	if h[4]&hasHole != 0 && h[4]&compressed != 0 {
		take(2)
	}
	return int(binary.LittleEndian.Uint16(h))
}

func (r *WALRecord) corrupt(what string) error {
	return fmt.Errorf("%w: record at %s: %s", ErrWALCorrupt, r.LSN, what)
}
