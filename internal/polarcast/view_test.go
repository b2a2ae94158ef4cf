package polarcast

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

func TestReportsOfHostsWithOtherClocksCount(t *testing.T) {
	v := &View{reports: map[string]pipeline.Progress{}}
	for i, skew := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		v.report(pipeline.Progress{Stage: StageStorage, Instance: string(rune('a' + i)), Time: time.Now().Add(skew)})
	}
	if got := len(v.live()); got != 3 {
		t.Errorf("%d of 3 reports count", got)
	}
}

func TestNoPositionIsNotShown(t *testing.T) {
	var s Status
	s.addReports([]pipeline.Progress{{Stage: StageWAL, LSN: "0/0"}})
	if s.WAL.LSN != "" {
		t.Errorf("WAL is up to %q", s.WAL.LSN)
	}
	s.addReports([]pipeline.Progress{{Stage: StageWAL, LSN: "0/3000000"}})
	if s.WAL.LSN != "0/3000000" {
		t.Errorf("WAL is up to %q", s.WAL.LSN)
	}
}

func TestStagesThatNobodyRunsAreNamed(t *testing.T) {
	st := pipeline.State{Requested: &messages.Requested{WALMethod: "stream"}, Prepared: &messages.Prepared{}}
	s := fromState(st)
	s.addReports([]pipeline.Progress{{Stage: StageCheckpoint}, {Stage: StageStorage, Target: "a"}})
	s.addAbsent(st)
	var shown []string
	for _, g := range s.Stages {
		if (len(g.Instances) == 0) != strings.Contains(g.Waiting, "polarcast stage "+g.Stage) {
			t.Errorf("%+v", g)
		}
		shown = append(shown, g.Stage)
	}
	if got := strings.Join(shown, " "); got != "checkpoint tablespace wal storage" {
		t.Errorf("stages %s", got)
	}
	st.Completed = &messages.Completed{}
	s = fromState(st)
	if s.addAbsent(st); len(s.Stages) != 0 {
		t.Errorf("a complete backup waits for %+v", s.Stages)
	}
}

func TestEveryEventIsDescribed(t *testing.T) {
	files, err := filepath.Glob("../../messages/testdata/golden/event-*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := messages.ParseEvent(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, text := Describe(ev); text == string(ev.Type) || text == "" {
			t.Errorf("%s is shown as %q", ev.Type, text)
		}
	}
}

// TestStatusKeepsWhatAKilledReaderRead has one of two readers disappear, which the stage that holds the session remembers, and a reader that still tells of a
// session before.
func TestStatusKeepsWhatAKilledReaderRead(t *testing.T) {
	s := Status{Session: 2, TotalBytes: 1000}
	s.addReports([]pipeline.Progress{
		{Stage: StageCheckpoint, Session: 2, Readers: &pipeline.ReadFigures{Read: 700, Kept: 200, Sent: 70, Unchanged: 5, Files: 3}},
		{Stage: StageTablespace, Instance: "b", Session: 2, Read: 300, Kept: 150, Sent: 30, Files: 4, Rate: 10},
		{Stage: StageTablespace, Instance: "c", Session: 1, Read: 900, Sent: 90, Files: 9, Rate: 10},
	})
	if s.ReadBytes != 700 || s.SentBytes != 70 || s.UnchangedBytes != 5 || s.KeptBytes != 200 || s.Files != 4 || s.ReadRate != 10 {
		t.Errorf("%+v", s)
	}
	if s.ReadPercent == nil || *s.ReadPercent != 90 { // what is kept need not be read
		t.Errorf("percent %v", s.ReadPercent)
	}
	s = Status{Session: 3, TotalBytes: 1000}
	s.addReports([]pipeline.Progress{
		{Stage: StageCheckpoint, Session: 2, Readers: &pipeline.ReadFigures{Read: 700}},
		{Stage: StageTablespace, Instance: "b", Session: 3, Read: 300},
	})
	if s.ReadBytes != 300 {
		t.Errorf("%d bytes of session 3, 300 were read", s.ReadBytes)
	}
}
