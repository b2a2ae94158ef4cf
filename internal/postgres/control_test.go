package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testdata/control holds the first 300 bytes of pg_control of a real server of each major, and what that server's pg_control_*() functions said.
func TestControlOfEveryMajor(t *testing.T) {
	names, _ := filepath.Glob("testdata/control/*.bin")
	if len(names) != 8 {
		t.Fatalf("%d control files, want 8", len(names))
	}
	for _, name := range names {
		major := strings.TrimSuffix(filepath.Base(name), ".bin")
		t.Run(major, func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c, err := ParseControl(data)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(strings.TrimSuffix(name, "bin") + "json")
			if err != nil {
				t.Fatal(err)
			}
			compareControl(t, c, text)
			if got := c.Bytes(); len(got) != ControlFileSize || !bytes.Equal(got[:len(data)], data) {
				t.Error("writing it back unchanged changed it")
			}
			checkControlEdit(t, c)
		})
	}
}

func compareControl(t *testing.T, c *Control, text []byte) {
	var want map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	next := strconv.FormatUint(c.NextXID>>32, 10) + ":" + strconv.FormatUint(c.NextXID&0xFFFFFFFF, 10)
	for key, got := range map[string]any{
		"pg_control_version": c.Version, "catalog_version_no": c.CatalogVersion, "system_identifier": int64(c.SystemID),
		"checkpoint_lsn": c.Checkpoint.String(), "redo_lsn": c.Redo.String(), "timeline_id": c.Timeline, "prev_timeline_id": c.PrevTimeline,
		"full_page_writes": c.FullPageWrites, "next_xid": next,
		"min_recovery_end_lsn": c.MinRecoveryPoint.String(), "min_recovery_end_timeline": c.MinRecoveryTimeline,
		"backup_start_lsn": c.BackupStartPoint.String(), "backup_end_lsn": c.BackupEndPoint.String(), "end_of_backup_record_required": c.BackupEndRequired,
		"database_block_size": c.BlockSize, "blocks_per_segment": c.RelSegBlocks, "wal_block_size": c.WALBlockSize, "bytes_per_wal_segment": c.WALSegmentSize,
		"data_page_checksum_version": c.DataChecksumVersion,
	} {
		gotText, _ := json.Marshal(got)
		wantText, _ := json.Marshal(want[key])
		if !bytes.Equal(gotText, wantText) {
			t.Errorf("%s: got %s, the server says %s", key, gotText, wantText)
		}
	}
	for key, got := range map[string]time.Time{"pg_control_last_modified": c.Time, "checkpoint_time": c.CheckpointTime} {
		at, err := time.Parse("2006-01-02T15:04:05-07:00", want[key].(string))
		if err != nil || !at.Equal(got) {
			t.Errorf("%s: got %v, the server says %v", key, got, want[key])
		}
	}
	if c.State != DBInProduction || c.WALLevel != 1 {
		t.Errorf("state %v, wal_level %d", c.State, c.WALLevel)
	}
}

func checkControlEdit(t *testing.T, c *Control) {
	c.BackupStartPoint, c.BackupEndPoint, c.BackupEndRequired = 1, 2, true
	marked, err := ParseControl(c.Bytes())
	if err != nil || marked.BackupStartPoint != 1 || marked.BackupEndPoint != 2 || !marked.BackupEndRequired {
		t.Fatalf("%+v, %v", marked, err)
	}
	marked.RequireRecoveryTo(0x123456789A, 7)
	got, err := ParseControl(marked.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got.State != DBInArchiveRecovery || got.MinRecoveryPoint != 0x123456789A || got.MinRecoveryTimeline != 7 ||
		got.BackupStartPoint != 0 || got.BackupEndPoint != 0 || got.BackupEndRequired {
		t.Errorf("%+v", got)
	}
	if got.WALLevel != c.WALLevel || got.BlockSize != c.BlockSize || got.DataChecksumVersion != c.DataChecksumVersion || got.Redo != c.Redo {
		t.Error("the edit changed other fields")
	}
}

func TestControlRefuses(t *testing.T) {
	data, err := os.ReadFile("testdata/control/15.bin")
	if err != nil {
		t.Fatal(err)
	}
	edit := func(at int, b ...byte) []byte {
		out := append([]byte(nil), data...)
		copy(out[at:], b)
		return out
	}
	for _, c := range []struct {
		data []byte
		want error
	}{
		{nil, ErrControlShort}, {data[:15], ErrControlShort}, {data[:290], ErrControlShort},
		{edit(8, 0, 0, 0, 0), ErrControlVersion}, {edit(8, 0, 0, 0x05, 0x14), ErrControlVersion}, {edit(100, 0xAA), ErrControlChecksum}, {edit(288, 1, 2, 3, 4), ErrControlChecksum},
	} {
		if _, err := ParseControl(c.data); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
}

func TestReadControlReadsAgain(t *testing.T) {
	good, err := os.ReadFile("testdata/control/15.bin")
	if err != nil {
		t.Fatal(err)
	}
	torn := append([]byte(nil), good...)
	torn[40]++
	reads := 0
	c, err := ReadControl(t.Context(), func(context.Context) ([]byte, error) {
		if reads++; reads < 4 {
			return torn, nil
		}
		return good, nil
	})
	if err != nil || c.Version != 1300 || reads != 4 {
		t.Errorf("%v after %d reads", err, reads)
	}
	if _, err := ReadControl(t.Context(), func(context.Context) ([]byte, error) { return nil, os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = ReadControl(ctx, func(context.Context) ([]byte, error) { cancel(); return torn, nil })
	if !errors.Is(err, ErrControlChecksum) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// pg_controldata must agree with what was edited.
func TestControlEditAsPgControldataReadsIt(t *testing.T) {
	c := initCluster(t)
	ctl, err := ParseControl(c.read(ControlFilePath))
	if err != nil {
		t.Fatal(err)
	}
	if ctl.State != DBShutDown {
		t.Errorf("state %v", ctl.State)
	}
	ctl.RequireRecoveryTo(0x2000028, 3)
	c.write(ControlFilePath, ctl.Bytes())
	out := c.run(filepath.Join(postgresBin(t), "pg_controldata"), c.dir)
	for _, want := range []string{"in archive recovery\n", "Minimum recovery ending location:     0/2000028\n", "Min recovery ending loc's timeline:   3\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "CRC") {
		t.Errorf("pg_controldata warns:\n%s", out)
	}
}

func FuzzControl(f *testing.F) {
	names, _ := filepath.Glob("testdata/control/*.bin")
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseControl(data)
		if c == nil {
			return
		}
		again, err2 := ParseControl(c.Bytes())
		if err2 != nil {
			t.Fatalf("%v after %v", err2, err)
		}
		if again.NextXID != c.NextXID || again.State != c.State {
			t.Fatalf("%+v became %+v", c, again)
		}
	})
}
