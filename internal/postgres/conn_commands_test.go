package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

func testCommands(t *testing.T, s *pgServer) {
	ctx := context.Background()
	c := s.connect(replicationOptions(s))
	sys, err := c.IdentifySystem(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := s.sql("SELECT system_identifier FROM pg_catalog.pg_control_system()")[0].text(0)
	if sys.ID != want || sys.Timeline != 1 || sys.XLogPos == 0 || sys.DBName != "" {
		t.Errorf("%+v, want system %s", sys, want)
	}
	if v, err := c.Show(ctx, "wal_segment_size"); err != nil || v != "16MB" {
		t.Errorf("%q, %v", v, err)
	}
	if _, err := c.Show(ctx, "no_such_setting"); SQLState(err) != "42704" {
		t.Errorf("unknown setting: %v", err)
	}
	if _, err := c.Show(ctx, "a; DROP"); err == nil {
		t.Error("name of a setting is not checked")
	}
	if pid := strconv.Itoa(int(c.BackendPID())); len(s.sql("SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = "+pid)) != 1 {
		t.Errorf("no process %s", pid)
	}
	if err := c.CreatePhysicalSlot(ctx, "temporary", true, true); err != nil {
		t.Fatal(err)
	}
	if slot, err := c.ReadSlot(ctx, "temporary"); err != nil || !slot.Exists || slot.RestartLSN == 0 || slot.RestartTimeline != 1 || slot.Type != "physical" {
		t.Errorf("%+v, %v", slot, err)
	}
	if err := c.CreatePhysicalSlot(ctx, "lasting", false, false); err != nil {
		t.Fatal(err)
	}
	if slot, err := c.ReadSlot(ctx, "lasting"); err != nil || slot != (Slot{Exists: true, Type: "physical"}) {
		t.Errorf("%+v, %v", slot, err)
	}
	if err := c.CreatePhysicalSlot(ctx, "lasting", false, false); SQLState(err) != "42710" ||
		!strings.Contains(err.Error(), `ERROR:  replication slot "lasting" already exists`) {
		t.Errorf("slot made twice: %v", err)
	}
	if slot, err := c.ReadSlot(ctx, "none"); err != nil || slot.Exists {
		t.Errorf("%+v, %v", slot, err)
	}
	if err := c.DropSlot(ctx, "lasting", true); err != nil {
		t.Error(err)
	}
	if err := c.DropSlot(ctx, "lasting", false); SQLState(err) != "42704" {
		t.Errorf("slot dropped twice: %v", err)
	}
	if _, _, err := c.TimelineHistory(ctx, 1); err == nil {
		t.Error("timeline 1 has a history")
	}
	if err := c.UploadManifest(ctx, strings.NewReader("{}")); err == nil || !strings.Contains(err.Error(), "17 or later") {
		t.Errorf("UPLOAD_MANIFEST on 15: %v", err)
	}
	c.Close()
	if _, err := c.IdentifySystem(ctx); err == nil {
		t.Error("closed connection answers")
	}
	for range 100 { // the server drops it when it sees the end of the connection
		if len(s.sql("SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = 'temporary'")) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("temporary slot is still there")
}

func testCancel(t *testing.T, s *pgServer) {
	c := s.connect(replicationOptions(s))
	ctx, cancel := context.WithCancelCause(context.Background())
	b, err := c.BaseBackup(ctx, "BASE_BACKUP (CHECKPOINT 'fast', MAX_RATE 32)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Next(); err != nil {
		t.Fatal(err)
	}
	why := errors.New("changed my mind")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	for err == nil {
		_, err = b.Next()
	}
	if !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
	if _, err := c.IdentifySystem(context.Background()); err == nil {
		t.Error("connection is usable")
	}
	ctx, cancel2 := context.WithCancel(context.Background())
	cancel2()
	if _, err := Connect(ctx, s.config(replicationOptions(s))); !errors.Is(err, context.Canceled) {
		t.Errorf("Connect with an ended context: %v", err)
	}
}
