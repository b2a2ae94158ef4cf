package polarcast

import (
	"slices"
	"testing"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

// TestAbsentSourceIsToldOnce follows a target whose source goes away and comes back.
func TestAbsentSourceIsToldOnce(t *testing.T) {
	st := pipeline.State{Requested: &messages.Requested{WALMethod: "stream"}, Prepared: &messages.Prepared{}}
	me := pipeline.Progress{Stage: StageStorage, Target: "a", Instance: "me"}
	all := []pipeline.Progress{{Stage: StageCheckpoint, Instance: "s"}, {Stage: StageTablespace, Instance: "s"}, {Stage: StageWAL, Instance: "s"}, me}
	var a absence
	now := time.Now()
	look := func(after time.Duration, want bool, stages []string, reports ...pipeline.Progress) {
		t.Helper()
		now = now.Add(after)
		missing, changed := a.look(now, st, reports, "me")
		if changed != want || !slices.Equal(missing, stages) {
			t.Errorf("missing %v, to be told: %v; want %v, %v", missing, changed, stages, want)
		}
	}
	gone := []string{StageCheckpoint, StageTablespace, StageWAL}
	look(0, false, nil, all...)
	look(time.Second, false, gone, me)
	look(absentFor/2, false, gone, me)
	look(time.Second, false, nil, all...) // started again
	look(time.Second, false, gone, me)
	look(absentFor-time.Second, false, gone, me)
	look(time.Second, true, gone, me)
	look(time.Hour, false, gone, me)
	look(time.Second, false, []string{StageWAL}, all[0], all[1], me)
	look(time.Second, true, nil, all...)
	look(time.Second, false, nil, all...)
	look(time.Second, false, nil) // nothing is heard at all
	look(time.Hour, false, nil)
	st.Completed = &messages.Completed{}
	look(time.Hour, false, nil, me)
	look(time.Hour, false, nil, me)
}
