package messages

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// EventType names what happened.
type EventType string

const (
	EventRequested      EventType = "requested"
	EventPrepared       EventType = "prepared"
	EventSlotReady      EventType = "slot_ready"
	EventSessionStarted EventType = "session_started"
	EventSessionLost    EventType = "session_lost"
	EventFilesSealed    EventType = "files_sealed"
	EventReadDone       EventType = "read_done"
	EventSessionStopped EventType = "session_stopped"
	EventWALStarted     EventType = "wal_started"
	EventWALCaptured    EventType = "wal_captured"
	EventTargetJoined   EventType = "target_joined"
	EventTargetOpened   EventType = "target_opened"
	EventTargetWritten  EventType = "target_written"
	EventChunksMissing  EventType = "chunks_missing"
	EventNodeConfigured EventType = "node_configured"
	EventTargetFailed   EventType = "target_failed"
	EventTargetDropped  EventType = "target_dropped"
	EventCompleted      EventType = "completed"
	EventFailed         EventType = "failed"
	EventCancelled      EventType = "cancelled"
	EventLimitChanged   EventType = "limit_changed"
	EventNote           EventType = "note"
)

// EventVersion is the schema version of the events that this program writes. A reader refuses a higher one.
const EventVersion = 1

// Event is one immutable record of a backup's log.
type Event struct {
	Type     EventType       `json:"type"`
	Version  int             `json:"version"`
	Backup   string          `json:"backup"`
	Stage    string          `json:"stage"`
	Instance string          `json:"instance"`
	Time     time.Time       `json:"time"`
	Fence    uint64          `json:"fence,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
}

// NewEvent makes an event of one of the data structures of this package. The log fills in the rest.
func NewEvent(t EventType, data any) Event {
	b, err := json.Marshal(data)
	if err != nil {
		// The structures of this package hold nothing that cannot be marshalled.
		b = []byte("{}")
	}
	return Event{Type: t, Version: EventVersion, Data: b}
}

// Decode reads the event's data into a structure.
func (e Event) Decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("event %q of backup %q: %w", e.Type, e.Backup, err)
	}
	return nil
}

// ParseEvent reads one event. An event of a newer schema is ErrFutureVersion.
func ParseEvent(b []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("event: %w", err)
	}
	if e.Version > EventVersion {
		return e, fmt.Errorf("event %q has schema version %d: %w", e.Type, e.Version, ErrFutureVersion)
	}
	if e.Type == "" {
		return e, fmt.Errorf("event without a type: %w", ErrBadPayload)
	}
	return e, nil
}

// LSN is a position in the WAL, in JSON as PostgreSQL prints it: "16/B374D848".
type LSN uint64

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// MarshalText implements encoding.TextMarshaler.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LSN) UnmarshalText(b []byte) error {
	hi, lo, ok := strings.Cut(string(b), "/")
	h, err1 := strconv.ParseUint(hi, 16, 32)
	o, err2 := strconv.ParseUint(lo, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return fmt.Errorf("%q is not an LSN", b)
	}
	*l = LSN(h<<32 | o)
	return nil
}

// Duration is a time span, in JSON as seconds.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).Seconds()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s float64
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*d = Duration(s * float64(time.Second))
	return nil
}
