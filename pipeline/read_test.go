package pipeline

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestIndexIsReadInOrderFromAnywhere(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1", "n2"}})
	ctx := testContext(t)
	p := c.IndexPublisher("b")
	const n = 900 // more than one pull
	add := func(i int) {
		t.Helper()
		subject := SubjectParts
		switch i % 3 {
		case 1:
			subject = SubjectReceipts("n1")
		case 2:
			subject = SubjectReceipts("n2")
		}
		if err := p.Publish(ctx, subject, fmt.Appendf(p.Buffer(), "%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		add(i)
	}
	flush(t, p)
	for _, x := range []struct {
		from    uint64
		targets []string
		want    int
	}{{0, nil, n / 3}, {1, nil, n / 3}, {0, []string{"n1"}, 2 * n / 3}, {0, []string{"n1", "n2"}, n}, {n - 2, []string{"n1", "n2"}, 3}, {n - 1, nil, 0}, {n + 1, nil, 0}} {
		got, last := 0, uint64(0)
		err := c.Index(ctx, "b", x.from, false, x.targets, func(seq uint64, subject Subject, data []byte) error {
			if seq <= last || seq < x.from || string(data) != fmt.Sprint(seq-1) {
				t.Errorf("position %d has %q, after %d", seq, data, last)
			}
			if want := seq%3 != 1; subject.IsReceipts() != want {
				t.Errorf("position %d is %s", seq, subject)
			}
			got, last = got+1, seq
			return nil
		})
		if err != nil || got != x.want {
			t.Errorf("from %d with %v: %d messages, want %d: %v", x.from, x.targets, got, x.want, err)
		}
	}
	// Following: what was there, then what comes, until fn has enough.
	enough := errors.New("enough")
	got := 0
	err := c.Index(ctx, "b", n-2, true, []string{"n1", "n2"}, func(seq uint64, _ Subject, _ []byte) error {
		if got++; seq == n {
			add(n)
		}
		if seq == n+1 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || got != 4 {
		t.Errorf("%d messages, %v", got, err)
	}
	fctx, cancel := context.WithCancelCause(ctx)
	err = c.Index(fctx, "b", 0, true, nil, func(uint64, Subject, []byte) error { cancel(enough); return nil })
	if !errors.Is(err, enough) {
		t.Errorf("a read that was stopped ended with %v", err)
	}
	if err := c.Index(ctx, "nothing", 0, false, nil, nil); !errors.Is(err, ErrNoStream) {
		t.Errorf("no such backup: %v", err)
	}
}

func TestTheLeaderIsAskedWhetherThatWasAll(t *testing.T) {
	c := newClient(t)
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"a"}})
	p := c.IndexPublisher("b")
	for _, s := range []Subject{SubjectParts, SubjectReceipts("a"), SubjectParts, SubjectReceipts("other")} {
		if err := p.Publish(ctx, s, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	subject := func(s Subject) string { return indexPrefix + "b." + string(s) }
	for _, x := range []struct {
		of         []string
		from, last uint64
		want       bool
	}{
		{[]string{subject(SubjectParts)}, 1, 4, true},
		{[]string{subject(SubjectReceipts("a")), subject(SubjectParts)}, 3, 4, true},
		{[]string{subject(SubjectReceipts("a")), subject(SubjectParts)}, 4, 4, false}, // what is left is another target's
		{[]string{subject(SubjectParts)}, 2, 2, false},                                // what came later is not asked for
		{[]string{subject(SubjectReceipts("nobody"))}, 1, 4, false},
		{[]string{subject(SubjectParts)}, 5, 4, false},
	} {
		if got, err := c.more(ctx, indexStream+"b", x.of, x.from, x.last); got != x.want || err != nil {
			t.Errorf("%v from %d to %d: %v, %v", x.of, x.from, x.last, got, err)
		}
	}
}

func TestReadsLeaveNoConsumers(t *testing.T) {
	c := newClient(t)
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"a", "other"}})
	p := c.IndexPublisher("b")
	stop := errors.New("enough")
	next := uint64(1)
	for i := range 20 {
		for _, s := range []Subject{SubjectParts, SubjectReceipts("other")} {
			if err := p.Publish(ctx, s, []byte("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, p)
		got := 0
		var err error
		if next, err = c.IndexOn(ctx, "b", next, "a", func(uint64, Subject, []byte) error { got++; return nil }); err != nil || got != 1 || next != uint64(2*i+3) {
			t.Fatalf("%d messages, then from %d on: %v", got, next, err)
		}
		if err := c.Index(ctx, "b", 0, true, nil, func(uint64, Subject, []byte) error { return stop }); !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	eventually(t, "only the targets' consumers are left", func() bool {
		info, err := c.info(ctx, indexStream+"b")
		return err == nil && info.State.Consumers == 0
	})
	eventually(t, "the event log has only the one of this client's fold", func() bool {
		info, err := c.info(ctx, eventStream)
		return err == nil && info.State.Consumers <= 1
	})
}
