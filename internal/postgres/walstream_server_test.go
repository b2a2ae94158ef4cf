package postgres

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func testReplication(t *testing.T, s *pgServer) {
	ctx := context.Background()
	c := s.connect(replicationOptions(s))
	if err := c.CreatePhysicalSlot(ctx, "stream", true, true); err != nil {
		t.Fatal(err)
	}
	sys, err := c.IdentifySystem(ctx)
	if err != nil {
		t.Fatal(err)
	}
	start := sys.XLogPos.SegmentStart(16 << 20)
	ws, err := c.StartReplication(ctx, "stream", start, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.sql("CREATE TABLE public.w AS SELECT g FROM pg_catalog.generate_series(1, 10000) g")
	until, err := ParseLSN(s.sql("SELECT pg_catalog.pg_current_wal_flush_lsn()")[0].text(0))
	if err != nil {
		t.Fatal(err)
	}
	pos := start
	var data []byte
	for pos < until {
		m, err := ws.Receive(time.Now().Add(10 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if m.Keepalive {
			continue
		}
		if m.Start != pos {
			t.Fatalf("got %s, want %s", m.Start, pos)
		}
		data = append(data, m.Data...)
		pos += LSN(len(m.Data))
	}
	file, _ := os.ReadFile(filepath.Join(s.data, "pg_wal", SegmentName(1, start, 16<<20)))
	if n := min(len(data), int(until-start)); !bytes.Equal(data[:n], file[:n]) {
		t.Error("WAL differs from the server's file")
	}
	if err := ws.SendStatus(pos, until, 0, true); err != nil {
		t.Fatal(err)
	}
	for replied := false; !replied; {
		m, err := ws.Receive(time.Now().Add(10 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		replied = m.Keepalive
	}
	if got := s.sql("SELECT restart_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = 'stream'")[0].text(0); got != until.String() {
		t.Errorf("slot is at %s, want %s", got, until)
	}
	if err := ws.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := ws.Receive(time.Time{}); err == nil {
		t.Error("stopped stream receives")
	}
	if _, err := c.IdentifySystem(ctx); err != nil {
		t.Errorf("connection after the stream: %v", err)
	}
	if _, err := c.StartReplication(ctx, "nosuch", start, 1); SQLState(err) != "42704" {
		t.Errorf("unknown slot: %v", err)
	}
	if _, err := c.IdentifySystem(ctx); err != nil {
		t.Errorf("connection after a refused stream: %v", err)
	}
	if ws, err = c.StartReplication(ctx, "", start+1<<40, 1); err != nil { // the server looks at it after it began the copy
		t.Fatal(err)
	}
	if _, err := ws.Receive(time.Now().Add(10 * time.Second)); err == nil || !strings.Contains(err.Error(), "is ahead of the WAL flush position") {
		t.Errorf("start in the future: %v", err)
	}
}

// testStandby restarts the server as a standby, looks for it by target_session_attrs, and promotes it in the middle of a stream.
func testStandby(t *testing.T, s *pgServer) {
	ctx := context.Background()
	old := s.connect(replicationOptions(s))
	sys, err := old.IdentifySystem(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ws, err := old.StartReplication(ctx, "", sys.XLogPos.SegmentStart(16<<20), 1)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error)
	go func() {
		pos := LSN(0)
		for {
			m, err := ws.Receive(time.Now().Add(20 * time.Second))
			if err != nil {
				stopped <- err
				return
			}
			if pos = max(pos, m.Start+LSN(len(m.Data))); m.Keepalive {
				ws.SendStatus(m.End, m.End, m.End, false) // or the server does not stop
			}
		}
	}()
	s.stop()
	if err := <-stopped; !errors.Is(err, ErrServerStopped) || !IsConnectionLost(err) {
		t.Errorf("server stopped: %v", err)
	}
	s.file("data/standby.signal", "")
	s.start()
	port := strconv.Itoa(s.port)
	for attrs, ok := range map[string]bool{"any": true, "standby": true, "read-only": true, "prefer-standby": true, "primary": false, "read-write": false} {
		for _, replication := range []bool{true, false} {
			cfg := s.config(ConnOptions{ConnString: "host=/none," + s.dir + " port=1," + port + " user=postgres target_session_attrs=" + attrs,
				Port: "1," + port, Replication: replication})
			c, err := Connect(ctx, cfg)
			if (err == nil) != ok {
				t.Errorf("%s replication=%v: %v", attrs, replication, err)
			}
			if err == nil {
				c.Close()
			}
		}
	}
	c := s.connect(replicationOptions(s))
	if sys, err = c.IdentifySystem(ctx); err != nil {
		t.Fatal(err)
	}
	if ws, err = c.StartReplication(ctx, "", sys.XLogPos.SegmentStart(16<<20), 1); err != nil {
		t.Fatal(err)
	}
	s.sql("SELECT pg_catalog.pg_promote()")
	var end *EndOfTimeline
	for !errors.As(err, &end) {
		if _, err = ws.Receive(time.Now().Add(20 * time.Second)); err != nil && !errors.As(err, &end) {
			t.Fatal(err)
		}
	}
	if end.NextTLI != 2 || end.SwitchPoint < sys.XLogPos.SegmentStart(16<<20) {
		t.Errorf("%+v", end)
	}
	name, content, err := c.TimelineHistory(ctx, 2)
	if err != nil || name != "00000002.history" || !strings.HasPrefix(string(content), "1\t"+end.SwitchPoint.String()+"\t") {
		t.Errorf("%s %q %v", name, content, err)
	}
	// From the switch point on timeline 1 there is nothing: the server does not even begin a copy.
	if ws, err = c.StartReplication(ctx, "", end.SwitchPoint, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := ws.Receive(time.Time{}); !errors.As(err, &end) || end.NextTLI != 2 {
		t.Errorf("at the switch point: %v", err)
	}
	if ws, err = c.StartReplication(ctx, "", end.SwitchPoint.SegmentStart(16<<20), end.NextTLI); err != nil {
		t.Fatal(err)
	}
	if m, err := ws.Receive(time.Now().Add(20 * time.Second)); err != nil || len(m.Data) == 0 && !m.Keepalive {
		t.Errorf("timeline 2: %v", err)
	}
	if err := ws.Stop(ctx); err != nil {
		t.Error(err)
	}
}
