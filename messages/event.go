package messages

import (
	"encoding/json"
	"fmt"
	"time"
)

// EventType names what happened.
type EventType string

const (
	EventRequested      EventType = "requested"
	EventPrepared       EventType = "prepared"
	EventSlotIntended   EventType = "slot_intended"
	EventSlotReady      EventType = "slot_ready"
	EventSlotDropped    EventType = "slot_dropped"
	EventSessionStarted EventType = "session_started"
	EventSessionLost    EventType = "session_lost"
	EventFilesSealed    EventType = "files_sealed"
	EventReadDone       EventType = "read_done"
	EventSessionStopped EventType = "session_stopped"
	EventWALStarted     EventType = "wal_started"
	EventWALCaptured    EventType = "wal_captured"
	EventWALScanned     EventType = "wal_scanned"
	EventTargetJoined   EventType = "target_joined"
	EventTargetOpened   EventType = "target_opened"
	EventTargetSurveyed EventType = "target_surveyed"
	EventTargetSlot     EventType = "target_slot"
	EventTargetWritten  EventType = "target_written"
	EventChunksMissing  EventType = "chunks_missing"
	EventNodeConfigured EventType = "node_configured"
	EventTargetFailed   EventType = "target_failed"
	EventTargetDropped  EventType = "target_dropped"
	EventCompleted      EventType = "completed"
	EventFailed         EventType = "failed"
	EventCancelled      EventType = "cancelled"
	EventLimitChanged   EventType = "limit_changed"
	EventSourceStopped  EventType = "source_stopped"
	EventNote           EventType = "note"
)

// EventVersion is the schema version of the events that this program writes. A reader refuses a higher one. It rises when a field changes its
// meaning; a new field or a new type alone does not need that.
const EventVersion = 1

// Event is one immutable record of a backup's log.
type Event struct {
	Type     EventType       `json:"type"`
	Version  int             `json:"version"`
	Backup   string          `json:"backup"`
	Stage    string          `json:"stage"`           // who wrote it: a stage, or a command
	Instance string          `json:"instance"`        // which process of that stage
	Time     time.Time       `json:"time"`            // the writer's clock; the order is that of the log
	Fence    uint64          `json:"fence,omitempty"` // the writer's lease revision; 0 without a lease
	Data     json.RawMessage `json:"data,omitempty"`  // the structure of the type
}

// NewEvent makes an event of one of the data structures of this package; nil is no data. Whoever writes it into the log fills in the rest.
func NewEvent(t EventType, data any) Event {
	e := Event{Type: t, Version: EventVersion}
	if data == nil {
		return e
	}
	b, err := json.Marshal(data)
	if err != nil {
		// A programming error. This text is no JSON, so the event cannot be marshalled either: it never gets into a log without its data.
		b = []byte(err.Error())
	}
	e.Data = b
	return e
}

// Decode reads the event's data into v, a pointer to the structure of the event's type. Fields that v does not have are left out: a later
// program may add some without a new version. The error wraps ErrBadPayload.
func (e Event) Decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("event %q of backup %q: %w: %w", e.Type, e.Backup, ErrBadPayload, err)
	}
	return nil
}

// ParseEvent reads one event. An event of a newer schema is ErrFutureVersion; what is no event is ErrBadPayload. A type that this program does
// not know is no error: those who fold events pass over it.
func ParseEvent(b []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(b, &e); err != nil {
		return Event{}, fmt.Errorf("event: %w: %w", ErrBadPayload, err)
	}
	if e.Version > EventVersion {
		return e, fmt.Errorf("event %q has schema version %d: %w", e.Type, e.Version, ErrFutureVersion)
	}
	if e.Type == "" || e.Version < 1 {
		return e, fmt.Errorf("event of type %q, version %d: %w", e.Type, e.Version, ErrBadPayload)
	}
	return e, nil
}
