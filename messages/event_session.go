package messages

// SlotIntended says that a slot is about to be created: when it exists later, this backup made it. An empty name takes that back.
type SlotIntended struct {
	Slot string `json:"slot"`
}

// SlotDropped says that the backup's own slot is gone from the server. It follows the end of a backup that was cancelled or failed.
type SlotDropped struct {
	Slot string `json:"slot"`
}

// SlotReady says that a slot holds the WAL; Slot is empty when none was wanted.
type SlotReady struct {
	Slot       string `json:"slot"`
	Temporary  bool   `json:"temporary"`
	RestartLSN LSN    `json:"restart_lsn,omitempty"`
}

// Tablespace is one of the source's. OID 0 is the data directory itself.
type Tablespace struct {
	OID      uint32 `json:"oid"`
	Location string `json:"location,omitempty"`
	SizeKB   int64  `json:"size_kb"` // -1 when the server did not say
	Shared   bool   `json:"shared,omitempty"`
	// Files and Blocks are how many files and directories it has, and how many blocks of 4 MiB they take on PFS; 0 when that was not counted.
	Files  int64 `json:"files,omitempty"`
	Blocks int64 `json:"blocks,omitempty"`
}

// SessionStarted says that the source is in backup mode.
type SessionStarted struct {
	Session       uint32       `json:"session"`
	Source        string       `json:"source"`
	StartLSN      LSN          `json:"start_lsn"`
	Timeline      uint32       `json:"timeline"`
	Tablespaces   []Tablespace `json:"tablespaces"`
	Redo          LSN          `json:"redo,omitempty"`
	CheckpointLSN LSN          `json:"checkpoint_lsn,omitempty"`
	// NextXID is the next transaction id of the start checkpoint, its epoch in the upper half; 0 when it is not known.
	NextXID uint64 `json:"next_xid,omitempty"`
	// StitchedTo is the session whose start point this one goes on with, 0 for an ordinary one.
	StitchedTo uint32 `json:"stitched_to,omitempty"`
	// ChunkSeq is the last message of the chunk stream before this session, 0 when there was no session before. What a reader of an earlier session publishes
	// behind it came too late, as from a process that was stopped for a while, and is not written.
	ChunkSeq uint64 `json:"chunk_seq,omitempty"`
	// ServerStarted is when the server of the session was started, in seconds since 1970 as it prints them: readers by SQL take no other server's files.
	ServerStarted string `json:"server_started,omitempty"`
}

// SessionLost says that backup mode ended before all was read.
type SessionLost struct {
	Session uint32 `json:"session"`
	Error   string `json:"error"`
}

// FilesSealed counts files that were read. Digest is the exclusive or of the Hash128 of their seals in the index.
type FilesSealed struct {
	Session  uint32 `json:"session"`
	Count    int64  `json:"count"`
	Bytes    int64  `json:"bytes"`
	Digest   string `json:"digest"`
	IndexSeq uint64 `json:"index_seq"`
}

// ReadDone says that all files of a session were read and published.
type ReadDone struct {
	Session          uint32 `json:"session"`
	Files            int64  `json:"files"`
	Bytes            int64  `json:"bytes"`      // raw, read from the source
	SentBytes        int64  `json:"sent_bytes"` // compressed, with headers
	Chunks           int64  `json:"chunks"`
	UnchangedBytes   int64  `json:"unchanged_bytes"`
	KeptBytes        int64  `json:"kept_bytes,omitempty"` // not read, of files that a session that this one goes on with had begun
	Removed          int64  `json:"removed"`
	IndexSeq         uint64 `json:"index_seq"`
	ChunkSeq         uint64 `json:"chunk_seq"`
	EndLSN           LSN    `json:"end_lsn"`
	EndTimeline      uint32 `json:"end_timeline"`
	ManifestChecked  bool   `json:"manifest_checked"`
	ManifestFiles    int64  `json:"manifest_files"`
	ChecksumFailures int64  `json:"checksum_failures"`
}

// SessionStopped says that backup mode was left. Label and TablespaceMap come from the stop call of the files source.
type SessionStopped struct {
	Session       uint32 `json:"session"`
	EndLSN        LSN    `json:"end_lsn"`
	EndTimeline   uint32 `json:"end_timeline"`
	Label         []byte `json:"label,omitempty"`
	TablespaceMap []byte `json:"tablespace_map,omitempty"`
}

// WALStarted says that WAL is being captured.
type WALStarted struct {
	StartLSN LSN    `json:"start_lsn"`
	Timeline uint32 `json:"timeline"`
	Slot     string `json:"slot,omitempty"`
	Resumed  bool   `json:"resumed,omitempty"`
}

// WALCaptured says that all WAL up to EndLSN was published.
type WALCaptured struct {
	StartLSN LSN    `json:"start_lsn"`
	EndLSN   LSN    `json:"end_lsn"`
	Timeline uint32 `json:"timeline"`
	Segments int64  `json:"segments"`
	Bytes    int64  `json:"bytes"`
	IndexSeq uint64 `json:"index_seq"`
}

// WALScanned says how far the WAL since the start of a session was looked through for what forbids to go on with the session (--stitch), so that the source need
// not keep all of it. Last is where the last record begins that was looked at, and CRC its checksum: whoever goes on starts there, and makes sure that the
// record is the same. Reason is what was found, after which nothing more is looked at; "" is nothing.
type WALScanned struct {
	Session   uint32 `json:"session"`
	Last      LSN    `json:"last"`
	End       LSN    `json:"end"` // of that record
	CRC       uint32 `json:"crc"`
	Shutdowns int    `json:"shutdowns,omitempty"` // shutdown checkpoints since the last online one
	Reason    string `json:"reason,omitempty"`
}
