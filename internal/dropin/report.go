package dropin

import (
	"time"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/stages"
)

// phases are the moments between which a report counts seconds.
type phases struct {
	start, checkpoint, read, wal, written time.Time
}

// Report is the JSON summary of --report. Its field names are stable; fields may be added.
type Report struct {
	Backup           string       `json:"backup"`
	OK               bool         `json:"ok"`
	Error            string       `json:"error,omitempty"`
	Continued        bool         `json:"continued"` // an earlier, interrupted run was continued
	SystemIdentifier string       `json:"system_identifier,omitempty"`
	ServerVersion    string       `json:"server_version,omitempty"`
	ServerVersionNum int          `json:"server_version_num,omitempty"`
	PolarVersion     string       `json:"polar_version,omitempty"`
	Timeline         uint32       `json:"timeline,omitempty"`
	StartLSN         messages.LSN `json:"start_lsn,omitempty"`
	EndLSN           messages.LSN `json:"end_lsn,omitempty"`
	Session          uint32       `json:"session,omitempty"` // 2 and above: that many sessions were started
	BytesRead        int64        `json:"bytes_read"`        // from the server, raw
	BytesSent        int64        `json:"bytes_sent"`        // through the pipeline, compressed
	BytesWritten     int64        `json:"bytes_written"`     // to the target, raw, WAL included
	BytesUnchanged   int64        `json:"bytes_unchanged"`   // found equal to what an earlier session had delivered
	BytesKept        int64        `json:"bytes_kept"`        // not read: delivered by a session that this one goes on with, of files that it had begun
	Files            int64        `json:"files"`
	FilesRemoved     int64        `json:"files_removed"`
	WALBytes         int64        `json:"wal_bytes"`
	WALSegments      int64        `json:"wal_segments"`
	ManifestChecked  bool         `json:"manifest_checked"`
	ManifestFiles    int64        `json:"manifest_files"`
	ChecksumFailures int64        `json:"checksum_failures"`
	Started          time.Time    `json:"started"`
	Seconds          Seconds      `json:"seconds"`
	PFS              *PFSReport   `json:"pfs,omitempty"` // when a disk of PFS was used
}

// PFSReport is what was done through libpfsd.
type PFSReport struct {
	Calls        int64   `json:"calls"`
	Seconds      float64 `json:"seconds"` // of all calls together; several run at the same time
	BytesRead    int64   `json:"bytes_read"`
	BytesWritten int64   `json:"bytes_written"`
}

// Seconds is how long the phases took. Phases overlap with writing: Write is what remained to be written when all was read.
type Seconds struct {
	Total      float64 `json:"total"`
	Checkpoint float64 `json:"checkpoint"`
	Read       float64 `json:"read"`
	WAL        float64 `json:"wal"`
	Write      float64 `json:"write"`
	Finish     float64 `json:"finish"`
}

// report writes the summary, good or bad.
func (r *backup) report(runErr error) error {
	if r.o.Report == "" {
		return nil
	}
	rep := Report{Backup: r.id, OK: runErr == nil, Continued: r.resumed, SystemIdentifier: r.prepared.SystemID, ServerVersion: r.prepared.VersionString,
		ServerVersionNum: r.prepared.ServerVersion, Started: r.started.UTC()}
	if runErr != nil {
		rep.Error = runErr.Error()
	}
	if r.prepared.Polar != nil {
		rep.PolarVersion = r.prepared.Polar.Version
	}
	st := r.final
	if cur := st.Session(); cur != nil {
		rep.Session, rep.StartLSN, rep.Timeline = cur.Started.Session, cur.Started.StartLSN, cur.Started.Timeline
		if d := cur.ReadDone; d != nil {
			rep.EndLSN, rep.BytesRead, rep.BytesSent, rep.BytesUnchanged, rep.Files = d.EndLSN, d.Bytes, d.SentBytes, d.UnchangedBytes, d.Files
			rep.BytesKept = d.KeptBytes
			rep.FilesRemoved, rep.ManifestChecked, rep.ManifestFiles, rep.ChecksumFailures = d.Removed, d.ManifestChecked, d.ManifestFiles, d.ChecksumFailures
		}
	}
	if w := st.WALCaptured; w != nil && stages.Captured(st) {
		rep.WALBytes, rep.WALSegments = w.Bytes, w.Segments
	}
	if t := st.Targets[targetName].Written; t != nil {
		rep.BytesWritten = t.WrittenBytes
	}
	rep.Seconds = r.phases.seconds(time.Now())
	if s := pfs.ReadStats(); s.Calls > 0 {
		rep.PFS = &PFSReport{Calls: s.Calls, Seconds: seconds(s.Time), BytesRead: s.BytesRead, BytesWritten: s.BytesWritten}
	}
	return rep.write(r.o.Report)
}

func (p phases) seconds(now time.Time) Seconds {
	between := func(a, b time.Time) float64 {
		if a.IsZero() || b.IsZero() || b.Before(a) {
			return 0
		}
		return seconds(b.Sub(a))
	}
	all := p.read
	if p.wal.After(all) {
		all = p.wal
	}
	return Seconds{Total: between(p.start, now), Checkpoint: between(p.start, p.checkpoint), Read: between(p.checkpoint, p.read),
		WAL: between(p.read, p.wal), Write: between(all, p.written), Finish: between(p.written, now)}
}

// seconds has three digits after the point, also as JSON: Duration.Seconds adds two numbers, and 2.47 becomes 2.4699999999999998.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}
