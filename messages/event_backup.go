package messages

// Requested begins a backup: what was asked for. It never holds a secret.
type Requested struct {
	Label      string        `json:"label"`
	Command    string        `json:"command,omitempty"` // for people
	Source     string        `json:"source"`            // "stream" or "files"
	Read       string        `json:"read,omitempty"`    // files: "path", "pfs" or "sql"
	Targets    []string      `json:"targets"`
	Options    BackupOptions `json:"options"`
	WALMethod  string        `json:"wal_method"` // "none", "fetch" or "stream"
	Slot       string        `json:"slot,omitempty"`
	CreateSlot bool          `json:"create_slot,omitempty"`
	// OwnSlot says that Slot was named for this backup and is dropped with it. One of that name that is there already is its own.
	OwnSlot bool `json:"own_slot,omitempty"`
	NoSlot  bool `json:"no_slot,omitempty"`
	Stitch  bool `json:"stitch,omitempty"`
	// Delta says that targets may hold an old copy: reading waits until each of them has said what it holds.
	Delta       bool     `json:"delta,omitempty"`
	Codec       string   `json:"codec,omitempty"`
	ChunkSize   int      `json:"chunk_size,omitempty"` // bytes
	Keep        Duration `json:"keep,omitempty"`
	MaxLag      int64    `json:"max_lag,omitempty"` // bytes of chunk stream, 0: no bound but the stream's
	Fingerprint string   `json:"fingerprint,omitempty"`
}

// BackupOptions are the options of BASE_BACKUP.
type BackupOptions struct {
	Checkpoint          string `json:"checkpoint,omitempty"` // "fast" or "spread"
	MaxRate             int    `json:"max_rate,omitempty"`   // kB/s
	Manifest            string `json:"manifest,omitempty"`   // "yes", "no" or "force-encode"
	ManifestChecksums   string `json:"manifest_checksums,omitempty"`
	VerifyChecksums     bool   `json:"verify_checksums"`
	EstimateSize        bool   `json:"estimate_size"`
	IncrementalManifest bool   `json:"incremental_manifest,omitempty"`
	ServerCompression   string `json:"server_compression,omitempty"` // METHOD[:DETAIL]
	ServerTarget        string `json:"server_target,omitempty"`      // TARGET[:DETAIL]
	Tar                 bool   `json:"tar,omitempty"`
	// Local says how much of the local tree of a PolarDB in shared-storage mode is taken: "" all of it, "config" what a node cannot be made
	// without, "none" only what the shared tree cannot be recovered without.
	Local string `json:"local,omitempty"`
	// NoShared leaves the shared tree out: the node shares the source's storage.
	NoShared bool `json:"no_shared,omitempty"`
}

// Prepared says what the source is.
type Prepared struct {
	SystemID          string `json:"system_id"`
	ServerVersion     int    `json:"server_version"` // 150018
	VersionString     string `json:"version_string"`
	Timeline          uint32 `json:"timeline"`
	WALSegmentSize    int64  `json:"wal_segment_size"` // bytes
	DataDirMode       uint32 `json:"data_dir_mode"`
	InRecovery        bool   `json:"in_recovery,omitempty"`
	Polar             *Polar `json:"polar,omitempty"`
	Slot              string `json:"slot,omitempty"`
	SlotTemporary     bool   `json:"slot_temporary,omitempty"`
	BaseBackupCommand string `json:"base_backup_command,omitempty"`
}

// Polar is what only PolarDB has.
type Polar struct {
	Version       string `json:"version,omitempty"`
	SharedStorage bool   `json:"shared_storage"`
	DataDir       string `json:"data_dir,omitempty"`
	DiskName      string `json:"disk_name,omitempty"`
	HostID        int    `json:"host_id,omitempty"`
	Cluster       string `json:"cluster,omitempty"` // polar_storage_cluster_name; empty when it is not set
}

// Completed ends a backup well.
type Completed struct {
	Targets []string `json:"targets"`
}

// Failed ends a backup that cannot be continued.
type Failed struct {
	Stage string `json:"stage,omitempty"`
	Error string `json:"error"`
}

// Cancelled ends a backup at somebody's wish.
type Cancelled struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// LimitChanged sets a rate. Target is empty for the source; 0 bytes per second is no limit.
type LimitChanged struct {
	Target         string `json:"target,omitempty"`
	BytesPerSecond int64  `json:"bytes_per_second"`
}

// SourceStopped says that a process of the source has ended before its work was done. The same command continues it.
type SourceStopped struct {
	Stages []string `json:"stages"` // that it ran
	Host   string   `json:"host,omitempty"`
	Error  string   `json:"error"`
}

// Note is a remark for people.
type Note struct {
	Text string `json:"text"`
}
