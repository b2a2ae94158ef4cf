package pipeline

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"polarcast/messages"
)

func limit(n int64) messages.Event {
	return messages.NewEvent(messages.EventLimitChanged, messages.LimitChanged{BytesPerSecond: n})
}

func TestTwoWritersCannotBothWin(t *testing.T) {
	s := startServer(t, ServerOptions{})
	createBackup(t, connect(t, ClientOptions{Server: s}), "b", StreamOptions{Targets: []string{"n1"}})
	var wg sync.WaitGroup
	const writers, rounds = 4, 10
	for w := range writers {
		l := connect(t, ClientOptions{Server: s}).Log("b")
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range rounds {
				var next int64
				ev := limit(0)
				err := l.AppendIf(testContext(t), "test", fmt.Sprint(w), ev, func(st State) error {
					next = st.Limits[""] + 1
					return ErrSkip
				})
				if err != nil {
					t.Error(err)
				}
				// Only one event may set each number.
				err = l.AppendIf(testContext(t), "test", fmt.Sprint(w), limit(next), func(st State) error {
					if st.Limits[""] != next-1 {
						return ErrSkip
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	last := int64(0)
	err := connect(t, ClientOptions{Server: s}).Log("b").Events(testContext(t), 0, false, func(_ uint64, ev messages.Event) error {
		if ev.Type != messages.EventLimitChanged {
			return nil
		}
		var l messages.LimitChanged
		if err := ev.Decode(&l); err != nil {
			return err
		}
		if l.BytesPerSecond != last+1 {
			t.Errorf("number %d follows %d", l.BytesPerSecond, last)
		}
		last = l.BytesPerSecond
		return nil
	})
	if err != nil || last < rounds {
		t.Fatalf("%d events: %v", last, err)
	}
}

func TestCheckDecidesAndImpossibleEventsStayOut(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	l, ctx := c.Log("b"), testContext(t)
	no := errors.New("no")
	if err := l.AppendIf(ctx, "test", "me", limit(1), func(State) error { return no }); !errors.Is(err, no) {
		t.Errorf("error: %v", err)
	}
	if err := l.Append(ctx, "test", "me", messages.NewEvent(messages.EventReadDone, messages.ReadDone{Session: 7})); err == nil {
		t.Error("an event about a session that never began was added")
	}
	st, err := l.State(ctx)
	if err != nil || st.Limits[""] != 0 || st.Requested == nil || st.Seq == 0 {
		t.Fatalf("state %+v, %v", st, err)
	}
	// The same request again adds nothing.
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	if again, err := l.State(ctx); err != nil || again.Seq != st.Seq {
		t.Fatalf("position %d, was %d: %v", again.Seq, st.Seq, err)
	}
}

func TestRemoveBackupLeavesNothing(t *testing.T) {
	s := startServer(t, ServerOptions{})
	c, watcher := connect(t, ClientOptions{Server: s}), connect(t, ClientOptions{Server: s})
	ctx := testContext(t)
	createBackup(t, c, "keepme", StreamOptions{Targets: []string{"n1"}})
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	if err := c.PublishWork(ctx, "b", []byte("item")); err != nil {
		t.Fatal(err)
	}
	lease, err := c.Lease(ctx, "b", "wal", "me", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	if _, err := watcher.Log("b").State(ctx); err != nil {
		t.Fatal(err)
	}
	l := c.Log("b")
	waited := make(chan error, 1)
	go func() {
		_, err := l.Wait(ctx, func(State) (bool, error) { return false, nil })
		waited <- err
	}()
	if ids, err := c.Backups(ctx); err != nil || fmt.Sprint(ids) != "[b keepme]" {
		t.Fatalf("backups %v, %v", ids, err)
	}
	if err := c.RemoveBackup(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, ErrRemoved) {
		t.Errorf("Wait ended with %v", err)
	}
	if ids, err := c.Backups(ctx); err != nil || fmt.Sprint(ids) != "[keepme]" {
		t.Errorf("backups %v, %v", ids, err)
	}
	names := c.js.StreamNames(ctx)
	for name := range names.Name() {
		info, err := c.info(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case chunkStream + "b", indexStream + "b", workStream + "b":
			t.Errorf("stream %s is left", name)
		case "KV_" + leaseBucket:
			if info.State.Msgs != 0 {
				t.Errorf("%d leases are left", info.State.Msgs)
			}
		case eventStream:
			if info.State.Msgs != 1 {
				t.Errorf("%d events are left", info.State.Msgs)
			}
		}
	}
	// Another process sees an empty log, and a backup of the same name starts at nothing.
	if st, err := watcher.Log("b").State(ctx); err != nil || st.Requested != nil {
		t.Errorf("state of a removed backup: %+v, %v", st, err)
	}
	if _, err := watcher.Log("b").Wait(ctx, func(State) (bool, error) { return false, nil }); !errors.Is(err, ErrRemoved) {
		t.Errorf("who waits for a removed backup goes on with %v", err)
	}
	if err := watcher.Log("b").Append(ctx, "wal", "me", messages.NewEvent(messages.EventWALCaptured, messages.WALCaptured{})); !errors.Is(err, ErrRemoved) {
		t.Errorf("an event of a removed backup: %v", err)
	}
	createBackup(t, watcher, "b", StreamOptions{Targets: []string{"n2"}})
	if st, err := watcher.Log("b").State(ctx); err != nil || len(st.Targets) != 1 || st.Requested.Targets[0] != "n2" {
		t.Errorf("state of the new backup: %+v, %v", st, err)
	}
}
