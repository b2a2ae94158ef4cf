package messages

// TargetJoined says that a host serves a target.
type TargetJoined struct {
	Target          string `json:"target"`
	Format          string `json:"format"`
	Directory       string `json:"directory"`
	SharedDirectory string `json:"shared_directory,omitempty"`
	Host            string `json:"host,omitempty"`
}

// TargetOpened says which directories a target has taken: those that it creates, those that it found empty, and those of an old copy, which
// are no backup's to remove. It may come several times.
type TargetOpened struct {
	Target  string   `json:"target"`
	Created []string `json:"created,omitempty"`
	Emptied []string `json:"emptied,omitempty"`
	Kept    []string `json:"kept,omitempty"`
	// Layout is where files go besides the data directory; all processes of the target must have the same.
	Layout *TargetLayout `json:"layout,omitempty"`
}

// TargetLayout says where the files of a target go that are not below its data directory. WALDirectory replaces pg_wal, SharedDirectory is PolarDB's
// shared tree, on the PFS disk SharedDisk unless that is empty, and Tablespaces maps locations on the source to those of the target.
type TargetLayout struct {
	WALDirectory    string            `json:"wal_directory,omitempty"`
	SharedDirectory string            `json:"shared_directory,omitempty"`
	SharedDisk      string            `json:"shared_disk,omitempty"`
	Tablespaces     map[string]string `json:"tablespaces,omitempty"`
}

// TargetSurveyed says that a target of a delta backup has offered what it holds. What is in the index of its offers before IndexFrom is from a
// survey that was not finished.
type TargetSurveyed struct {
	Target    string `json:"target"`
	Files     int64  `json:"files"`
	Bytes     int64  `json:"bytes"`
	IndexFrom uint64 `json:"index_from"`
}

// TargetSlot says that a target is about to create the slot that its node will use, or that it is there: when it exists later, this target made it. An
// empty name takes that back.
type TargetSlot struct {
	Target  string `json:"target"`
	Slot    string `json:"slot"`
	Created bool   `json:"created,omitempty"`
}

// TargetWritten says that a target was proven complete.
type TargetWritten struct {
	Target         string `json:"target"`
	Session        uint32 `json:"session"`
	Files          int64  `json:"files"`
	Bytes          int64  `json:"bytes"`
	WrittenBytes   int64  `json:"written_bytes"`
	UnchangedBytes int64  `json:"unchanged_bytes"`
}

// MissingRange is a part of a file that a target did not get.
type MissingRange struct {
	Tree   Tree   `json:"tree"`
	Path   string `json:"path"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// ChunksMissing names what the stream lost.
type ChunksMissing struct {
	Target  string         `json:"target"`
	Session uint32         `json:"session"`
	Ranges  []MissingRange `json:"ranges"`
	// IndexLost says that the index has lost messages: what it does not name comes again.
	IndexLost bool `json:"index_lost,omitempty"`
}

// NodeConfigured says that a target is a node.
type NodeConfigured struct {
	Target    string `json:"target"`
	Node      string `json:"node"`
	Directory string `json:"directory"`
	Started   bool   `json:"started,omitempty"`
}

// TargetFailed says that a target cannot be continued.
type TargetFailed struct {
	Target string `json:"target"`
	Error  string `json:"error"`
}

// TargetDropped says that a target is not served any more.
type TargetDropped struct {
	Target string `json:"target"`
	Reason string `json:"reason"`
}
