package polarcast

import (
	"testing"
	"time"

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
