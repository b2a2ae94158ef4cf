package polarcast

import (
	"slices"
	"strings"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
)

// fromState is what the event log alone tells.
func fromState(st pipeline.State) Status {
	r := st.Requested
	s := Status{Backup: st.Backup, Label: r.Label, Command: r.Command, Source: r.Source, RequestedAt: st.RequestedAt, UpdatedAt: st.UpdatedAt,
		Limits: st.Limits, Stages: []StageStatus{}, Targets: []TargetStatus{}}
	if s.Limits == nil {
		s.Limits = map[string]int64{}
	}
	s.State, s.Error = stateOf(st)
	if p := st.Prepared; p != nil {
		s.SystemID, s.ServerVersion, s.Timeline = p.SystemID, p.VersionString, p.Timeline
	}
	s.WAL = WALStatus{Method: r.WALMethod, Slot: r.Slot, OwnSlot: r.OwnSlot, Captured: stages.Captured(st)}
	if st.Slot != nil {
		s.WAL.Slot = st.Slot.Slot
	}
	if st.WALStarted != nil {
		s.WAL.StartLSN = st.WALStarted.StartLSN
	}
	if s.WAL.Captured {
		s.WAL.LSN = st.WALCaptured.EndLSN.String()
	}
	cur := st.Session()
	if cur == nil {
		return s
	}
	s.Session, s.StartLSN, s.Timeline = cur.Started.Session, cur.Started.StartLSN, cur.Started.Timeline
	for _, t := range cur.Started.Tablespaces {
		s.TotalBytes += max(t.SizeKB, 0) * 1024
	}
	if d := cur.ReadDone; d != nil {
		s.EndLSN, s.ReadBytes, s.SentBytes, s.UnchangedBytes, s.Files = d.EndLSN, d.Bytes, d.SentBytes, d.UnchangedBytes, d.Files
		s.KeptBytes = d.KeptBytes
		s.TotalBytes, s.ReadPercent = d.Bytes+d.KeptBytes, new(float64)
		*s.ReadPercent = 100
	}
	return s
}

// later compares two positions as text; an empty one is before all others, and 0/0 is none.
func later(a, b string) bool {
	var x, y messages.LSN
	if x.UnmarshalText([]byte(a)) != nil || x == 0 {
		return false
	}
	return y.UnmarshalText([]byte(b)) != nil || x > y
}

// addReports adds what the processes of the source tell.
func (s *Status) addReports(reports []pipeline.Progress) {
	done := s.ReadPercent != nil
	var live, all pipeline.ReadFigures
	for _, p := range reports {
		if n := len(s.Stages); n == 0 || s.Stages[n-1].Stage != p.Stage {
			s.Stages = append(s.Stages, StageStatus{Stage: p.Stage})
		}
		g := &s.Stages[len(s.Stages)-1]
		g.Instances = append(g.Instances, InstanceStatus{Instance: p.Instance, Host: p.Host, PID: p.PID, Target: p.Target, Time: p.Time.UTC(), Read: p.Read,
			Written: p.Written, Rate: p.Rate, LSN: p.LSN, File: p.File, Waiting: p.Waiting})
		switch p.Stage {
		case StageTablespace:
			if done || p.Session != 0 && p.Session != s.Session {
				continue
			}
			live = live.Plus(p.Figures())
			s.ReadRate += p.Rate
			s.TotalBytes = max(s.TotalBytes, p.Total)
		case StageCheckpoint:
			if p.Readers != nil && p.Session == s.Session {
				all = *p.Readers
			}
		case StageWAL:
			if !s.WAL.Captured && later(p.LSN, s.WAL.LSN) {
				s.WAL.LSN = p.LSN
			}
		}
	}
	if !done {
		all = all.Max(live)
		s.ReadBytes, s.KeptBytes, s.SentBytes, s.UnchangedBytes, s.Files = all.Read, all.Kept, all.Sent, all.Unchanged, all.Files
	}
	if have := s.ReadBytes + s.KeptBytes; !done && s.TotalBytes > 0 && have > 0 {
		// The server's estimate is never exact; 100 is kept for what is read completely.
		p := min(99.9, 100*float64(have)/float64(s.TotalBytes))
		s.ReadPercent = &p
	}
}

// addAbsent names the stages of the source that the backup needs and that no process tells of.
func (s *Status) addAbsent(st pipeline.State) {
	if st.Terminal() != nil || st.Completed != nil {
		return
	}
	needed := []string{StageCheckpoint}
	if !stages.ReadingOver(st) {
		needed = append(needed, StageTablespace)
	}
	if st.Prepared != nil && s.WAL.Method == "stream" && !s.WAL.Captured {
		needed = append(needed, StageWAL)
	}
	for _, n := range needed {
		if !slices.ContainsFunc(s.Stages, func(g StageStatus) bool { return g.Stage == n }) {
			s.Stages = append(s.Stages, StageStatus{Stage: n, Instances: []InstanceStatus{},
				Waiting: "its process to be started: none reports (\"polarcast send\", or \"polarcast stage " + n + "\")"})
		}
	}
	slices.SortStableFunc(s.Stages, func(a, b StageStatus) int {
		return slices.Index(stageOrder, a.Stage) - slices.Index(stageOrder, b.Stage)
	})
}

// fromTarget is what the event log alone tells about a target.
func fromTarget(name string, st pipeline.State) TargetStatus {
	e := st.Targets[name]
	t := TargetStatus{Target: name, State: TargetExpected}
	if e.Joined != nil {
		t.State, t.Host, t.Directory = TargetReceiving, e.Joined.Host, e.Joined.Directory
	}
	for _, m := range e.Missing {
		t.Missing += len(m.Ranges)
	}
	switch {
	case e.Configured != nil:
		t.State = TargetReady
	case e.Failed != nil:
		t.State, t.Error = TargetFailed, e.Failed.Error
	case e.Dropped != nil:
		t.State, t.Error = TargetDropped, e.Dropped.Reason
	case e.Written != nil:
		t.State = TargetWritten
	}
	if e.Written != nil {
		t.WrittenBytes = e.Written.WrittenBytes
		t.Percent = new(float64)
		*t.Percent = 100
	}
	return t
}

// addLag adds how far the target's consumer is. Its share of what was read is its share of the messages.
func (t *TargetStatus) addLag(info pipeline.StreamInfo, lag pipeline.Lag, read *float64) {
	t.LagMessages, t.LagBytes = lag.Pending+uint64(lag.AckPending), lagBytes(info, lag)
	if read == nil || info.LastSeq == 0 {
		return
	}
	p := *read * (1 - float64(min(t.LagMessages, info.LastSeq))/float64(info.LastSeq))
	p = min(p, 99.9) // 100 is kept for what was proven complete
	t.Percent = &p
}

// addReports adds what the processes of the target tell, and what it waits for.
func (t *TargetStatus) addReports(reports []pipeline.Progress, s *Status) {
	found := false
	var waiting []string
	for _, p := range reports {
		if p.Target != t.Target {
			continue
		}
		found = true
		if p.Stage == StageStorage {
			if t.State == TargetReceiving {
				t.WrittenBytes += p.Written
			}
			t.Rate += p.Rate
			if later(p.LSN, t.WALLSN) {
				t.WALLSN = p.LSN
			}
		}
		if p.Waiting != "" {
			waiting = append(waiting, p.Stage+": "+p.Waiting)
		}
	}
	switch {
	case t.State == TargetExpected:
		t.Waiting = "\"polarcast receive --backup " + s.Backup + " --target " + t.Target + "\" to be started on its host"
	case (t.State == TargetReceiving || t.State == TargetWritten) && !found:
		t.Waiting = "its process on " + t.Host + " to be started again: none reports"
	case t.State == TargetReceiving || t.State == TargetWritten:
		t.Waiting = strings.Join(waiting, "; ")
	}
	if t.State == TargetReceiving && t.Percent != nil && t.Rate > 0 && s.TotalBytes > 0 {
		eta := float64(s.TotalBytes) * (1 - *t.Percent/100) / t.Rate
		t.ETASeconds = &eta
	}
}
