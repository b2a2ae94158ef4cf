package dropin

import (
	"context"
	"sync"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
)

// narrator turns events into the lines that pg_basebackup prints.
type narrator struct {
	r *backup

	mu     sync.Mutex
	slot   *messages.SlotReady // until it was told
	ended  bool
	last   pipeline.Progress
	finale chan struct{}
}

func (v *narrator) event(_ uint64, ev messages.Event) error {
	ui, now := v.r.o.UI, time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	switch ev.Type {
	case messages.EventSlotReady:
		v.slot = new(messages.SlotReady)
		return ev.Decode(v.slot)
	case messages.EventSessionStarted:
		var s messages.SessionStarted
		if err := ev.Decode(&s); err != nil {
			return err
		}
		v.r.phases.checkpoint = now
		v.last = pipeline.Progress{TablespacesTotal: len(s.Tablespaces)}
		for _, t := range s.Tablespaces {
			v.last.Total += max(t.SizeKB, 0) * 1024
		}
		if v.r.o.Request.Options.NoShared {
			return nil
		}
		ui.Verbose("checkpoint completed")
		if v.r.o.Request.WALMethod != "none" {
			ui.Verbose("write-ahead log start point: %s on timeline %d", postgres.LSN(s.StartLSN), s.Timeline)
		}
		if v.slot != nil {
			ui.Verbose("starting background WAL receiver")
			if v.slot.Temporary {
				ui.Verbose("created temporary replication slot \"%s\"", v.slot.Slot)
			} else if v.r.o.Request.CreateSlot && v.slot.Slot != "" {
				ui.Verbose("created replication slot \"%s\"", v.slot.Slot)
			}
			v.slot = nil // it serves the sessions after a lost one, too
		}
	case messages.EventReadDone:
		var d messages.ReadDone
		if err := ev.Decode(&d); err != nil {
			return err
		}
		v.r.phases.read = now
		v.endProgress(d.Bytes + d.KeptBytes)
		if v.r.o.Request.Options.NoShared {
			return nil
		}
		if v.r.o.Request.WALMethod != "none" {
			ui.Verbose("write-ahead log end point: %s", postgres.LSN(d.EndLSN))
		}
		if d.ManifestChecked {
			ui.Verbose("size and checksum of %d files are as the server's backup manifest says", d.ManifestFiles)
		}
		if v.r.o.Request.WALMethod == "stream" {
			ui.Verbose("waiting for background process to finish streaming ...")
		}
	case messages.EventWALCaptured:
		v.r.phases.wal = now
	case messages.EventTargetWritten:
		v.r.phases.written = now
	case messages.EventCompleted:
		v.ended = true
		if v.finale != nil {
			close(v.finale)
			v.finale = nil
		}
	}
	return nil
}

func (v *narrator) progress(p pipeline.Progress) {
	if p.Stage != "tablespace" || p.TablespacesTotal == 0 { // nothing is read yet, or any more
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	p.Read += p.Kept // a person sees how far it is
	v.last = p
	if v.r.phases.read.IsZero() {
		v.r.o.UI.Progress(p, false)
	}
}

// endProgress prints the last progress line before anything that comes after the data. Reports come once a second and on another way than
// events, so none may have come yet: what the event log says is enough.
func (v *narrator) endProgress(read int64) {
	p := v.last
	p.Read = max(p.Read, read)
	if p.Total > 0 {
		p.Total = p.Read // it was an estimate
	}
	p.Tablespaces = p.TablespacesTotal
	v.r.o.UI.Progress(p, true)
}

// wait returns when the last event was told, or ctx ends.
func (v *narrator) wait(ctx context.Context) {
	st, err := v.r.env.Log().State(ctx)
	if err != nil || st.Completed == nil {
		return
	}
	v.mu.Lock()
	if v.ended {
		v.mu.Unlock()
		return
	}
	ch := make(chan struct{})
	v.finale = ch
	v.mu.Unlock()
	select {
	case <-ch:
	case <-ctx.Done():
	}
}

// end says that all went well, when it did.
func (v *narrator) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		v.r.o.UI.Verbose("base backup completed")
	}
}
