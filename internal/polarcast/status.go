package polarcast

import (
	"time"

	"polarcast/messages"
)

// States of a backup, as [Status] names them.
const (
	StateWaiting   = "waiting"   // for the source to be in backup mode
	StateReading   = "reading"   // the source is being read
	StateFinishing = "finishing" // all is read; targets are being written and configured
	StateComplete  = "complete"
	StateFailed    = "failed"
	StateCancelled = "cancelled"
)

// States of a target.
const (
	TargetExpected  = "expected"  // no process has joined yet
	TargetReceiving = "receiving" //
	TargetWritten   = "written"   // proven complete, not a node yet
	TargetReady     = "ready"
	TargetDropped   = "dropped"
	TargetFailed    = "failed"
)

// Status is one backup as "polarcast status --json" shows it. Field names are stable; fields may be added. Sizes are in bytes.
type Status struct {
	Backup      string    `json:"backup"`
	State       string    `json:"state"`
	Error       string    `json:"error,omitempty"`
	Label       string    `json:"label"`
	Command     string    `json:"command,omitempty"`
	Source      string    `json:"source"`
	RequestedAt time.Time `json:"requested_at"`
	UpdatedAt   time.Time `json:"updated_at"`

	SystemID      string       `json:"system_id,omitempty"`
	ServerVersion string       `json:"server_version,omitempty"`
	Timeline      uint32       `json:"timeline,omitempty"`
	Session       uint32       `json:"session"`
	StartLSN      messages.LSN `json:"start_lsn,omitempty"`
	EndLSN        messages.LSN `json:"end_lsn,omitempty"`

	TotalBytes     int64    `json:"total_bytes"` // expected, 0 when not known
	ReadBytes      int64    `json:"read_bytes"`
	SentBytes      int64    `json:"sent_bytes"` // compressed
	UnchangedBytes int64    `json:"unchanged_bytes"`
	KeptBytes      int64    `json:"kept_bytes"`
	Files          int64    `json:"files"`
	ReadRate       float64  `json:"read_rate"` // bytes per second
	ReadPercent    *float64 `json:"read_percent"`

	WAL     WALStatus        `json:"wal"`
	Stream  *StreamStatus    `json:"stream"`
	Stages  []StageStatus    `json:"stages"`
	Targets []TargetStatus   `json:"targets"`
	Limits  map[string]int64 `json:"limits"` // bytes per second by target; "" is the source
}

// WALStatus is how far the WAL is.
type WALStatus struct {
	Method   string       `json:"method"`
	Slot     string       `json:"slot,omitempty"`
	OwnSlot  bool         `json:"own_slot"`
	StartLSN messages.LSN `json:"start_lsn,omitempty"`
	LSN      string       `json:"lsn,omitempty"` // durable in the pipeline
	Captured bool         `json:"captured"`
}

// StreamStatus is the chunk stream; absent when there is none any more.
type StreamStatus struct {
	Messages uint64 `json:"messages"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
}

// StageStatus is one stage with the processes that report. Waiting is set when none does although the backup needs one.
type StageStatus struct {
	Stage     string           `json:"stage"`
	Instances []InstanceStatus `json:"instances"`
	Waiting   string           `json:"waiting,omitempty"`
}

// InstanceStatus is one process of a stage.
type InstanceStatus struct {
	Instance string    `json:"instance"`
	Host     string    `json:"host,omitempty"`
	PID      int       `json:"pid,omitempty"`
	Target   string    `json:"target,omitempty"`
	Time     time.Time `json:"time"` // of the last report
	Read     int64     `json:"read_bytes"`
	Written  int64     `json:"written_bytes"`
	Rate     float64   `json:"rate"` // bytes per second
	LSN      string    `json:"lsn,omitempty"`
	File     string    `json:"file,omitempty"`
	Waiting  string    `json:"waiting,omitempty"`
}

// TargetStatus is one target.
type TargetStatus struct {
	Target       string   `json:"target"`
	State        string   `json:"state"`
	Error        string   `json:"error,omitempty"`
	Host         string   `json:"host,omitempty"`
	Directory    string   `json:"directory,omitempty"`
	Percent      *float64 `json:"percent"`      // null when not known
	LagMessages  uint64   `json:"lag_messages"` // not acknowledged
	LagBytes     int64    `json:"lag_bytes"`    // estimate
	WrittenBytes int64    `json:"written_bytes"`
	Rate         float64  `json:"rate"`
	ETASeconds   *float64 `json:"eta_seconds"` // null when not known
	WALLSN       string   `json:"wal_lsn,omitempty"`
	Waiting      string   `json:"waiting,omitempty"`
	Missing      int      `json:"missing_parts"`
}

// Summary is one line of "polarcast list".
type Summary struct {
	Backup      string    `json:"backup"`
	State       string    `json:"state"`
	Error       string    `json:"error,omitempty"`
	Label       string    `json:"label"`
	RequestedAt time.Time `json:"requested_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Targets     []string  `json:"targets"`
	Ready       []string  `json:"ready"`
}
