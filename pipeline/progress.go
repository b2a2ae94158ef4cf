package pipeline

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Progress is what a stage tells of itself about once a second. It is not kept: whoever wants to see it must be listening.
type Progress struct {
	Backup   string    `json:"backup"`
	Stage    string    `json:"stage"`
	Instance string    `json:"instance"`
	Host     string    `json:"host,omitempty"`
	PID      int       `json:"pid,omitempty"`
	Target   string    `json:"target,omitempty"`
	Session  uint32    `json:"session,omitempty"` // that the figures are of; 0 when they are of no session
	Time     time.Time `json:"time"`

	Read      int64 `json:"read,omitempty"`      // bytes from the source
	Kept      int64 `json:"kept,omitempty"`      // bytes that need not be read of files that an earlier session had begun
	Sent      int64 `json:"sent,omitempty"`      // bytes into the pipeline, compressed
	Written   int64 `json:"written,omitempty"`   // bytes to the target
	Unchanged int64 `json:"unchanged,omitempty"` // bytes found equal to what was delivered
	Files     int64 `json:"files,omitempty"`
	Total     int64 `json:"total,omitempty"` // bytes expected from the source, 0 when not known

	Tablespaces      int    `json:"tablespaces,omitempty"` // begun
	TablespacesTotal int    `json:"tablespaces_total,omitempty"`
	File             string `json:"file,omitempty"`
	LSN              string `json:"lsn,omitempty"`
	Waiting          string `json:"waiting,omitempty"` // what the stage waits for

	// Readers is what all readers of the session have told, those included that are gone; from the checkpoint stage of the files source.
	Readers *ReadFigures `json:"readers,omitempty"`

	// Rate is what the stage moved in the last second or so, in raw bytes per second: read, or written.
	Rate float64 `json:"rate,omitempty"`
}

// ReadFigures are the figures of several readers together, with the meanings that they have in Progress.
type ReadFigures struct {
	Read      int64 `json:"read"`
	Kept      int64 `json:"kept"`
	Sent      int64 `json:"sent"`
	Unchanged int64 `json:"unchanged"`
	Files     int64 `json:"files"`
}

// Max returns the larger of both in each figure.
func (f ReadFigures) Max(o ReadFigures) ReadFigures {
	return ReadFigures{max(f.Read, o.Read), max(f.Kept, o.Kept), max(f.Sent, o.Sent), max(f.Unchanged, o.Unchanged), max(f.Files, o.Files)}
}

// Plus adds up both.
func (f ReadFigures) Plus(o ReadFigures) ReadFigures {
	return ReadFigures{f.Read + o.Read, f.Kept + o.Kept, f.Sent + o.Sent, f.Unchanged + o.Unchanged, f.Files + o.Files}
}

// Figures are those of one reader.
func (p Progress) Figures() ReadFigures {
	return ReadFigures{p.Read, p.Kept, p.Sent, p.Unchanged, p.Files}
}

// OnProgress makes fn see every report that this client sends, before it is sent: a process that shows figures of its own work needs no
// subscription for it. nil ends that. fn is called from several goroutines.
func (c *Client) OnProgress(fn func(Progress)) { c.observer.Store(&fn) }

// ReportProgress sends a report to whoever listens.
func (c *Client) ReportProgress(p Progress) {
	if fn := c.observer.Load(); fn != nil && *fn != nil {
		(*fn)(p)
	}
	b, err := json.Marshal(p)
	if err != nil {
		return
	}
	_ = c.nc.Publish(progressRoot+p.Backup+"."+p.Stage+"."+subjectToken(p.Instance), b) // nothing depends on it
}

// WatchProgress calls fn for every report about a backup until ctx ends.
func (c *Client) WatchProgress(ctx context.Context, backup string, fn func(Progress)) error {
	sub, err := c.nc.Subscribe(progressRoot+backup+".>", func(m *nats.Msg) {
		var p Progress
		if json.Unmarshal(m.Data, &p) == nil {
			fn(p)
		}
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return sub.Unsubscribe()
}

// subjectToken makes one token of a subject out of any name.
func subjectToken(name string) string {
	if name == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '.' || r == '*' || r == '>' {
			return '_'
		}
		return r
	}, name)
}
