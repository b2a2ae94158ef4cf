package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// goldenEvents has one value of each event's structure, with no field left at zero.
func goldenEvents() map[EventType]any {
	return map[EventType]any{
		EventRequested: &Requested{Label: "nightly", Command: "polar_basebackup -D /data", Source: "files", Read: "path", Targets: []string{"a", "b"},
			Options: BackupOptions{Checkpoint: "fast", MaxRate: 65536, Manifest: "yes", ManifestChecksums: "SHA256", VerifyChecksums: true,
				EstimateSize: true, IncrementalManifest: true, ServerCompression: "lz4:1", ServerTarget: "server:/backup", Tar: true, Local: "config", NoShared: true},
			WALMethod: "stream", Slot: "polarcast_a", CreateSlot: true, OwnSlot: true, NoSlot: true, Stitch: true, Delta: true, Codec: "zstd:3", ChunkSize: ChunkSize,
			Keep: Duration(90*time.Minute + 500*time.Millisecond), MaxLag: 1 << 34, Fingerprint: "5e1f"},
		EventPrepared: &Prepared{SystemID: "7573312345678901234", ServerVersion: 150018, VersionString: "15.18", Timeline: 3, WALSegmentSize: 1 << 24,
			DataDirMode: 0o750, InRecovery: true, Polar: &Polar{Version: "2.0.15", SharedStorage: true, DataDir: "/nvme1/shared", DiskName: "nvme1", HostID: 2, Cluster: "disk"},
			Slot: "polarcast_a", SlotTemporary: true, BaseBackupCommand: "BASE_BACKUP (LABEL 'nightly')"},
		EventSlotIntended: &SlotIntended{Slot: "standby1"},
		EventSlotDropped:  &SlotDropped{Slot: "polarcast_a"},
		EventSlotReady:    &SlotReady{Slot: "polarcast_a", Temporary: true, RestartLSN: 0x16_b374d848},
		EventSessionStarted: &SessionStarted{Session: 2, ServerStarted: "1795721097.123456", Source: "stream", StartLSN: 0x2000028, Timeline: 3,
			Tablespaces: []Tablespace{{OID: 16390, Location: "/mnt/ts", SizeKB: -1, Shared: true, Files: 1294, Blocks: 1091}}, Redo: 0x2000028, CheckpointLSN: 0x2000060, NextXID: 1<<32 | 742, StitchedTo: 1, ChunkSeq: 88120},
		EventSessionLost: &SessionLost{Session: 1, Error: "server closed the connection unexpectedly"},
		EventFilesSealed: &FilesSealed{Session: 1, Count: 1000, Bytes: 1 << 40, Digest: "b0be7c71627d3a6ea0035f2677b8c9c3", IndexSeq: 77},
		EventReadDone: &ReadDone{Session: 1, Files: 1200, Bytes: 1 << 41, SentBytes: 1 << 38, Chunks: 1 << 23, UnchangedBytes: 8192, KeptBytes: 4096, Removed: 4, IndexSeq: 90,
			ChunkSeq: 88000, EndLSN: 0x3000100, EndTimeline: 3, ManifestChecked: true, ManifestFiles: 1199, ChecksumFailures: 1},
		EventSessionStopped: &SessionStopped{Session: 1, EndLSN: 0x3000100, EndTimeline: 3, Label: []byte("START WAL LOCATION: 0/2000028\n"), TablespaceMap: []byte("16390 /mnt/ts\n")},
		EventWALStarted:     &WALStarted{StartLSN: 0x2000000, Timeline: 3, Slot: "polarcast_a", Resumed: true},
		EventWALCaptured:    &WALCaptured{StartLSN: 0x2000000, EndLSN: 0x4000000, Timeline: 3, Segments: 2, Bytes: 2 << 24, IndexSeq: 95},
		EventWALScanned: &WALScanned{Session: 1, Last: 0x2fff000, End: 0x3000100, CRC: 0xd3b46924, Shutdowns: 1,
			Reason: "0/2FFF000: full_page_writes was switched, now off"},
		EventTargetJoined: &TargetJoined{Target: "a", Format: "plain", Directory: "/data", SharedDirectory: "/nvme1/shared", Host: "db2"},
		EventTargetOpened: &TargetOpened{Target: "a", Created: []string{"/data"}, Emptied: []string{"/mnt/ts"}, Kept: []string{"/mnt/old"},
			Layout: &TargetLayout{WALDirectory: "/wal", SharedDirectory: "/nvme1/shared", SharedDisk: "nvme1", Tablespaces: map[string]string{"/mnt/ts": "/mnt/ts2"}}},
		EventTargetSurveyed: &TargetSurveyed{Target: "a", Files: 1200, Bytes: 1 << 40, IndexFrom: 17},
		EventTargetSlot:     &TargetSlot{Target: "a", Slot: "standby1", Created: true},
		EventTargetWritten:  &TargetWritten{Target: "a", Session: 1, Files: 1200, Bytes: 1 << 41, WrittenBytes: 1 << 40, UnchangedBytes: 8192},
		EventChunksMissing: &ChunksMissing{Target: "a", Session: 1, IndexLost: true,
			Ranges: []MissingRange{{Tree: TreeShared, Path: "base/5/16384", Offset: ChunkSize, Length: 2 * ChunkSize}}},
		EventNodeConfigured: &NodeConfigured{Target: "a", Node: "standby", Directory: "/data", Started: true},
		EventTargetFailed:   &TargetFailed{Target: "a", Error: "no space left on device"},
		EventTargetDropped:  &TargetDropped{Target: "b", Reason: "more than 16 GB behind"},
		EventCompleted:      &Completed{Targets: []string{"a"}},
		EventFailed:         &Failed{Stage: "wal", Error: "requested WAL segment has already been removed"},
		EventCancelled:      &Cancelled{By: "dba@db1", Reason: "wrong host"},
		EventLimitChanged:   &LimitChanged{Target: "a", BytesPerSecond: 50 << 20},
		EventSourceStopped:  &SourceStopped{Stages: []string{"checkpoint", "tablespace", "wal"}, Host: "db1", Error: "server closed the connection unexpectedly"},
		EventNote:           &Note{Text: "checksums: 1 page differs"},
	}
}

// eventTypes are the constants in event.go.
func eventTypes(t *testing.T) []EventType {
	t.Helper()
	src, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []EventType
	for _, m := range regexp.MustCompile(`EventType\s+= "(\w+)"`).FindAllSubmatch(src, -1) {
		all = append(all, EventType(m[1]))
	}
	return all
}

func TestGoldenEvents(t *testing.T) {
	values := goldenEvents()
	types := eventTypes(t)
	if len(types) != len(values) {
		t.Errorf("%d event types, %d golden ones", len(types), len(values))
	}
	for _, typ := range types {
		t.Run(string(typ), func(t *testing.T) {
			want := values[typ]
			if want == nil {
				t.Fatal("no golden value")
			}
			noZero(t, string(typ), reflect.ValueOf(want).Elem())
			e := NewEvent(typ, want)
			e.Backup, e.Stage, e.Instance, e.Fence = "20261122T181500Z-ab12", "tablespace", "db1-4711", 12
			e.Time = time.Date(2026, 11, 22, 18, 15, 0, 123456789, time.UTC)
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			b = golden(t, "event-v1-"+string(typ)+".json", append(b, '\n'))
			back, err := ParseEvent(b)
			if err != nil || !reflect.DeepEqual(back, e) {
				t.Fatalf("parsed %+v, %v", back, err)
			}
			got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
			if err := back.Decode(got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("decoded\n got %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

// noZero makes sure that a golden value shows every field.
func noZero(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is zero: its name is not in the golden file", name)
	}
	switch v.Kind() {
	case reflect.Pointer:
		noZero(t, name, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			noZero(t, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice:
		if v.Len() > 0 && v.Index(0).Kind() == reflect.Struct {
			noZero(t, name, v.Index(0))
		}
	}
}

// TestSpecification holds docs/messages.md to the structures: it names every event and every field of it.
func TestSpecification(t *testing.T) {
	doc, err := os.ReadFile("../docs/messages.md")
	if err != nil {
		t.Fatal(err)
	}
	for typ, v := range goldenEvents() {
		_, section, ok := bytes.Cut(doc, []byte("\n### `"+typ+"`"))
		if !ok {
			t.Errorf("event %q has no section", typ)
			continue
		}
		section, _, _ = bytes.Cut(section, []byte("\n### "))
		namesFields(t, string(section), string(typ), reflect.TypeOf(v).Elem())
	}
}

func namesFields(t *testing.T, section, name string, typ reflect.Type) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !strings.Contains(section, "`"+tag+"`") {
			t.Errorf("field %s of %s is not in its section", tag, name)
		}
		namesFields(t, section, name+"."+tag, f.Type)
	}
}

func TestParseEventRefuses(t *testing.T) {
	for in, want := range map[string]error{
		``:                              ErrBadPayload,
		`{`:                             ErrBadPayload,
		`[]`:                            ErrBadPayload,
		`null`:                          ErrBadPayload,
		`{"version":1}`:                 ErrBadPayload,
		`{"type":"note"}`:               ErrBadPayload,
		`{"type":"note","version":-1}`:  ErrBadPayload,
		`{"type":"note","version":2}`:   ErrFutureVersion,
		`{"type":"note","version":1} {`: ErrBadPayload,
	} {
		if _, err := ParseEvent([]byte(in)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", in, err, want)
		}
	}
}

// TestLaterFields reads what a later program of the same version may write: types and fields that this one does not know.
func TestLaterFields(t *testing.T) {
	e, err := ParseEvent([]byte(`{"type":"moon_phase","version":1,"data":{"text":"full","age":14},"colour":"grey"}`))
	if err != nil {
		t.Fatal(err)
	}
	var n Note
	if err := e.Decode(&n); err != nil || n.Text != "full" {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestEventWithoutData(t *testing.T) {
	e := NewEvent(EventNote, nil)
	if b, err := json.Marshal(e); err != nil || bytes.Contains(b, []byte("data")) {
		t.Errorf("%s, %v", b, err)
	}
	if err := e.Decode(&Note{}); !errors.Is(err, ErrBadPayload) {
		t.Errorf("decoded: %v", err)
	}
}

// TestImpossibleData must not become an event that looks complete.
func TestImpossibleData(t *testing.T) {
	if b, err := json.Marshal(NewEvent(EventNote, make(chan int))); err == nil {
		t.Errorf("written as %s", b)
	}
}

func TestLSN(t *testing.T) {
	for l, want := range map[LSN]string{0: "0/0", 0x1a2b: "0/1A2B", 0x16_b374d848: "16/B374D848", 1<<64 - 1: "FFFFFFFF/FFFFFFFF"} {
		b, err := json.Marshal(l)
		if err != nil || string(b) != `"`+want+`"` {
			t.Errorf("%d: %s, %v", uint64(l), b, err)
		}
		var back LSN
		if err := json.Unmarshal(b, &back); err != nil || back != l {
			t.Errorf("%s: %v, %v", b, back, err)
		}
	}
	for _, s := range []string{``, `0`, `/`, `0/`, `/0`, `0/0/0`, `100000000/0`, `0/100000000`, `-1/0`, `0x1/0`, `0/ 1`} {
		if err := new(LSN).UnmarshalText([]byte(s)); err == nil {
			t.Errorf("%q is an LSN", s)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"0": 0, "90": 90 * time.Second, "0.25": 250 * time.Millisecond, "1e-9": 1, "-1": -time.Second} {
		var d Duration
		if err := json.Unmarshal([]byte(s), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", s, time.Duration(d), err)
		}
		b, err := json.Marshal(d)
		var back Duration
		if err != nil || json.Unmarshal(b, &back) != nil || back != d {
			t.Errorf("%s became %s, %v", s, b, err)
		}
	}
	for _, s := range []string{`"1s"`, `1e10`, `-1e300`, `{}`} {
		if err := json.Unmarshal([]byte(s), new(Duration)); err == nil {
			t.Errorf("%s is a duration", s)
		}
	}
}
