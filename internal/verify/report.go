package verify

import "polarcast/messages"

// Options say what is verified.
type Options struct {
	// Dir is the data directory.
	Dir string
	// Shared is PolarDB's shared directory; "" is the default one below Dir, when it is there.
	Shared string
	// Manifest is the manifest's file; "" is backup_manifest in Dir.
	Manifest string
	// Ignore holds further paths that are left out, with all below them.
	Ignore []string
	// SkipChecksums compares names and sizes only.
	SkipChecksums bool
	// Progress, when set, is told the bytes read so far and in all.
	Progress func(done, total int64)
}

// Kinds of problems. They are stable.
const (
	KindMissing  = "missing"  // in the manifest, not on disk
	KindExtra    = "extra"    // on disk, not in the manifest
	KindSize     = "size"     // another size
	KindChecksum = "checksum" // another content
	KindRead     = "read"     // could not be read, or is neither file nor directory
	KindSystem   = "system"   // pg_control is of another system than the manifest
)

// Problem is one deviation. Path is relative to the data directory.
type Problem struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Report is the result, as "polarcast verify --json" shows it. Field names are stable; fields may be added.
type Report struct {
	Directory       string     `json:"directory"`
	OK              bool       `json:"ok"`
	Files           int64      `json:"files"` // in the manifest
	Bytes           int64      `json:"bytes"` // in the manifest
	CheckedFiles    int64      `json:"checked_files"`
	CheckedBytes    int64      `json:"checked_bytes"` // whose checksum was computed
	ManifestVersion int        `json:"manifest_version"`
	SystemID        string     `json:"system_id,omitempty"`
	WALRanges       []WALRange `json:"wal_ranges"`
	Problems        []Problem  `json:"problems"`
}

// WALRange is WAL that the copy needs to become consistent.
type WALRange struct {
	Timeline uint32       `json:"timeline"`
	StartLSN messages.LSN `json:"start_lsn"`
	EndLSN   messages.LSN `json:"end_lsn"`
}
