package pipeline

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"polarcast/messages"
)

// foldAll folds events at positions 1, 2, ….
func foldAll(t *testing.T, evs ...messages.Event) State {
	t.Helper()
	s := emptyState("b")
	for i, ev := range evs {
		ev.Backup = "b"
		var err error
		if s, err = Fold(s, uint64(i+1), ev); err != nil {
			t.Fatalf("event %d: %v", i+1, err)
		}
	}
	return s
}

func ev(typ messages.EventType, data any) messages.Event { return messages.NewEvent(typ, data) }

func history() []messages.Event {
	return []messages.Event{
		ev(messages.EventRequested, messages.Requested{Targets: []string{"n1", "n2"}}),
		ev(messages.EventTargetJoined, messages.TargetJoined{Target: "n1", Directory: "/d"}),
		ev(messages.EventTargetOpened, messages.TargetOpened{Target: "n1", Created: []string{"/d"}}),
		ev(messages.EventTargetOpened, messages.TargetOpened{Target: "n1", Created: []string{"/e"}, Emptied: []string{"/f"}}),
		ev(messages.EventSessionStarted, messages.SessionStarted{Session: 1}),
		ev(messages.EventFilesSealed, messages.FilesSealed{Session: 1, Count: 2, Bytes: 10}),
		ev(messages.EventFilesSealed, messages.FilesSealed{Session: 1, Count: 3, Bytes: 20}),
		ev(messages.EventSessionLost, messages.SessionLost{Session: 1, Error: "cut"}),
		ev(messages.EventSessionStarted, messages.SessionStarted{Session: 2}),
		ev(messages.EventReadDone, messages.ReadDone{Session: 2, Files: 5}),
		ev(messages.EventLimitChanged, messages.LimitChanged{BytesPerSecond: 7}),
		ev(messages.EventLimitChanged, messages.LimitChanged{Target: "n1", BytesPerSecond: 8}),
		ev("invented_later", map[string]int{"x": 1}),
	}
}

func TestFold(t *testing.T) {
	s := foldAll(t, history()...)
	if s.Seq != 13 || len(s.Targets) != 2 || len(s.Sessions) != 2 {
		t.Fatalf("%+v", s)
	}
	if o := s.Targets["n1"].Opened; !reflect.DeepEqual(o.Created, []string{"/d", "/e"}) || !reflect.DeepEqual(o.Emptied, []string{"/f"}) {
		t.Errorf("opened %+v", o)
	}
	if x := s.Sessions[0]; x.SealedFiles != 5 || x.SealedBytes != 30 || x.Lost == nil || x.ReadDone != nil {
		t.Errorf("session 1: %+v", x)
	}
	if x := s.Session(); x.Started.Session != 2 || x.ReadDone.Files != 5 {
		t.Errorf("session 2: %+v", x)
	}
	if s.Limits[""] != 7 || s.Limits["n1"] != 8 {
		t.Errorf("limits %v", s.Limits)
	}
}

func TestFoldChangesNothingThatItIsGiven(t *testing.T) {
	evs := history()
	for n := range evs {
		before, same := foldAll(t, evs[:n]...), foldAll(t, evs[:n]...)
		for _, more := range evs {
			more.Backup, more.Fence = "b", 9
			_, _ = Fold(before, 100, more)
		}
		if !reflect.DeepEqual(before, same) {
			t.Fatalf("the state after %d events was changed:\n%+v\n%+v", n, before, same)
		}
	}
}

func TestFoldRefusesWhatWouldHideDamage(t *testing.T) {
	fenced := func(stage string, fence uint64, e messages.Event) messages.Event {
		e.Stage, e.Fence = stage, fence
		return e
	}
	started := ev(messages.EventSessionStarted, messages.SessionStarted{Session: 1})
	written := messages.NewEvent(messages.EventTargetWritten, messages.TargetWritten{Target: "n1"})
	other := messages.NewEvent(messages.EventTargetWritten, messages.TargetWritten{Target: "n2"})
	for name, evs := range map[string][]messages.Event{
		"second start":     {started, started},
		"unknown session":  {started, ev(messages.EventReadDone, messages.ReadDone{Session: 2})},
		"read after loss":  {started, ev(messages.EventSessionLost, messages.SessionLost{Session: 1}), ev(messages.EventReadDone, messages.ReadDone{Session: 1})},
		"after cancelling": {ev(messages.EventCancelled, messages.Cancelled{}), ev(messages.EventCompleted, messages.Completed{})},
		"after failure":    {ev(messages.EventFailed, messages.Failed{}), ev(messages.EventCompleted, messages.Completed{})},
		"replaced leader":  {fenced("node", 5, written), fenced("node", 4, written)},
		"damaged data":     {{Type: messages.EventPrepared, Data: []byte("[]")}},
	} {
		n := len(evs) - 1
		s := foldAll(t, evs[:n]...)
		got, err := Fold(s, 99, evs[n])
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if !reflect.DeepEqual(got, s) {
			t.Errorf("%s: the state changed: %+v", name, got)
		}
		if name == "replaced leader" && !errors.Is(err, ErrFenced) {
			t.Errorf("%s: %v", name, err)
		}
	}
	foldAll(t, fenced("node", 5, written), fenced("node", 4, other), fenced("wal", 3, limit(1)), fenced("node", 6, written))
}

func TestTerminal(t *testing.T) {
	if err := foldAll(t, ev(messages.EventCancelled, messages.Cancelled{Reason: "why"})).Terminal(); !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
	if err := foldAll(t, ev(messages.EventFailed, messages.Failed{Error: "what"})).Terminal(); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if err := foldAll(t, ev(messages.EventCompleted, messages.Completed{})).Terminal(); err != nil {
		t.Error(err)
	}
}

func TestClocksDecideNothing(t *testing.T) {
	right, wrong := history(), history()
	now := time.Now()
	for i := range right {
		right[i].Time = now.Add(time.Duration(i) * time.Second)
		wrong[i].Time = now.Add(time.Duration(i*7919%13-6) * time.Hour) // each host has a clock of its own
	}
	a, b := foldAll(t, right...), foldAll(t, wrong...)
	for _, s := range []*State{&a, &b} {
		s.RequestedAt, s.UpdatedAt = time.Time{}, time.Time{}
		for i := range s.Sessions {
			s.Sessions[i].StartedAt = time.Time{}
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the state depends on clocks:\n%+v\n%+v", a, b)
	}
}
