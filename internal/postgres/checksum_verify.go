package postgres

import (
	"encoding/binary"
	"fmt"
)

// PageFailure is a page whose stored checksum is wrong.
type PageFailure struct {
	Block            uint32 // from the beginning of the relation fork
	Stored, Computed uint16
}

// String is the wording of the server's warning, without the name of the file.
func (f PageFailure) String() string {
	return fmt.Sprintf("block %d: calculated %X but expected %X", f.Block, f.Computed, f.Stored)
}

// VerifyPages checks the pages of a relation file and appends those that fail to dst. pages begins at a page boundary; an incomplete last page is left
// out. firstBlock is the number of its first page in the fork: segment number times Control.RelSegBlocks plus the block in the
// segment. Pages that are new (never initialized) have no checksum; pages that changed at or after start, the start position of the backup, may have
// been read while they were being written, and replay repairs them: both pass, as in the server's sendFile. Beyond that rule, a position that no server comes to
// during a backup is none: random bytes are checked, and fail. With a start of ^LSN(0) all pages are checked. A page that fails should be read once more before
// it is reported, because the server may have been writing it for the first time since start.
func VerifyPages(dst []PageFailure, pages []byte, pageSize int, firstBlock uint32, start LSN) []PageFailure {
	if pageSize < 1024 || pageSize%128 != 0 {
		return dst
	}
	for block := firstBlock; len(pages) >= pageSize; block++ {
		page := pages[:pageSize]
		pages = pages[pageSize:]
		if PageIsNew(page) || changedSince(PageLSN(page), start) {
			continue
		}
		stored := binary.LittleEndian.Uint16(page[8:])
		if sum := PageChecksum(page, block); sum != stored {
			dst = append(dst, PageFailure{Block: block, Stored: stored, Computed: sum})
		}
	}
	return dst
}

// maxBackupWAL is more WAL than any server writes during a backup, in bytes: at 10 GB/s it takes 7 hours without a pause.
const maxBackupWAL = 1 << 48

// changedSince says whether a page of a position may have been changed by WAL from start on.
func changedSince(at, start LSN) bool {
	return at >= start && start != ^LSN(0) && at-start <= maxBackupWAL
}

// PageLSN is the position after the last record that changed the page (pd_lsn). The page must have at least 16 bytes.
func PageLSN(page []byte) LSN {
	return LSN(binary.LittleEndian.Uint32(page))<<32 | LSN(binary.LittleEndian.Uint32(page[4:]))
}

// PageIsNew says whether the page was never initialized (PageIsNew in bufpage.h: pd_upper is zero). The page must have at least 16 bytes.
func PageIsNew(page []byte) bool {
	return binary.LittleEndian.Uint16(page[14:]) == 0
}

// HasPageChecksums says whether the file at path, relative to the data directory, holds pages with checksums when the cluster has them: main, free
// space, visibility map and init forks in global, base and user tablespaces. The segment number is needed for block numbers. Up to 16 servers check
// every file there that is not on a short list; since 17 they go by the name, as this function does.
func HasPageChecksums(path string) (segment uint32, ok bool) {
	r, ok := ParseRelationPath(path)
	return r.Segment, ok
}
