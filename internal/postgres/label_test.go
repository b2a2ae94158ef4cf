package postgres

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const streamedLabel = `START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/2000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-22 18:00:00 UTC
LABEL: nightly
START TIMELINE: 1
`

func TestBackupLabel(t *testing.T) {
	rewind := "START WAL LOCATION: 1/A0000028 (file 0000000200000001000000A0)\nCHECKPOINT LOCATION: 1/A0000060\nBACKUP METHOD: pg_rewind\n" +
		"BACKUP FROM: standby\nSTART TIME: 2026-11-22 18:00:00 UTC\n"
	polar11 := bytes.Replace([]byte(streamedLabel), []byte("primary"), []byte("master"), 1)
	incremental := streamedLabel + "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n"
	twoLines := bytes.Replace([]byte(streamedLabel), []byte("nightly"), []byte("a\nb\n\nBACKUP FROM: x"), 1)
	for _, text := range []string{streamedLabel, rewind, string(polar11), incremental, string(twoLines)} {
		l, err := ParseBackupLabel([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got := string(l.Bytes()); got != text {
			t.Errorf("rendered\n%s\nfrom\n%s", got, text)
		}
	}
	l, _ := ParseBackupLabel([]byte(incremental))
	want := &BackupLabel{0x2000028, "000000010000000000000002", 0x2000060, MethodStreamed, FromPrimary, "2026-11-22 18:00:00 UTC", "nightly", 1, 0x1000028, 1}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("got %+v", l)
	}
	if l, _ := ParseBackupLabel(polar11); l.From != FromMaster {
		t.Errorf("from %q", l.From)
	}
	if l, _ := ParseBackupLabel(twoLines); l.From != FromPrimary || l.Label != "a\nb\n\nBACKUP FROM: x" {
		t.Errorf("%+v", l)
	}
}

func TestBackupLabelRefuses(t *testing.T) {
	for _, text := range []string{"", "x", "CHECKPOINT LOCATION: 0/1\n", "START WAL LOCATION: 0/2000028\nCHECKPOINT LOCATION: 0/1\n",
		"START WAL LOCATION: zz (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/1\n",
		"START WAL LOCATION: 0/1 (file 000000010000000000000002)\nCHECKPOINT LOCATION: -\n",
		streamedLabel + "START TIMELINE: x\n"} {
		if l, err := ParseBackupLabel([]byte(text)); !errors.Is(err, ErrBackupLabel) {
			t.Errorf("%q gave %+v, %v", text, l, err)
		}
	}
}

func TestStitchedLabel(t *testing.T) {
	got := string(StitchedLabel(0x1A0000028, 0x1A0000060, 2, 16<<20, "2026-11-22 18:00:00 UTC", "two sessions").Bytes())
	want := "START WAL LOCATION: 1/A0000028 (file 0000000200000001000000A0)\nCHECKPOINT LOCATION: 1/A0000060\nBACKUP METHOD: streamed\n" +
		"BACKUP FROM: standby\nSTART TIME: 2026-11-22 18:00:00 UTC\nLABEL: two sessions\nSTART TIMELINE: 2\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestTablespaceMap(t *testing.T) {
	links := []TablespaceLink{{16384, "/ts 1"}, {16385, `/back\slash`}, {16386, "/line\nend\r"}}
	for version, want := range map[int]string{
		130000: "16384 /ts 1\n16385 /back\\slash\n16386 /line\\\nend\\\r\n",
		140000: "16384 /ts 1\n16385 /back\\\\slash\n16386 /line\\\nend\\\r\n",
	} {
		got := TablespaceMap(links, version)
		if string(got) != want {
			t.Errorf("version %d: %q", version, got)
		}
		back, err := ParseTablespaceMap(got, version)
		if err != nil || !reflect.DeepEqual(back, links) {
			t.Errorf("version %d: %+v, %v", version, back, err)
		}
	}
	for _, text := range []string{"x", "16384\n", "0 /a\n", "16384 /a", "a /b\n", "99999999999 /a\n", "16384 \n"} {
		if got, err := ParseTablespaceMap([]byte(text), 150000); !errors.Is(err, ErrTablespaceMap) {
			t.Errorf("%q gave %+v, %v", text, got, err)
		}
	}
}

// A real server's own label and map, with a location that needs escapes.
func TestLabelOfARealServer(t *testing.T) {
	c := initCluster(t)
	c.start()
	location := c.share(c.socket + `/back\slash`)
	c.sql("CREATE TABLESPACE odd LOCATION E'" + strings.ReplaceAll(location, `\`, `\\`) + "'")
	oid := c.sql("SELECT oid FROM pg_tablespace WHERE spcname = 'odd'")
	c.sql("SELECT pg_backup_start('two\nlines', true)", `\o `+c.socket+`/label`, "SELECT labelfile FROM pg_backup_stop(false)")
	c.sql("SELECT pg_backup_start('two\nlines', true)", `\o `+c.socket+`/map`, "SELECT spcmapfile FROM pg_backup_stop(false)")
	text := bytes.TrimSuffix(c.read("../label"), []byte("\n"))
	l, err := ParseBackupLabel(text)
	if err != nil {
		t.Fatal(err)
	}
	if l.From != FromPrimary || l.Method != MethodStreamed || l.Label != "two\nlines" || l.StartTimeline != 1 || l.StartSegment != SegmentName(1, l.StartLSN, 16<<20) {
		t.Errorf("%+v", l)
	}
	if !bytes.Equal(l.Bytes(), text) {
		t.Errorf("rendered\n%s\nfrom\n%s", l.Bytes(), text)
	}
	text = bytes.TrimSuffix(c.read("../map"), []byte("\n"))
	links, err := ParseTablespaceMap(text, 150000)
	if err != nil || len(links) != 1 || links[0].Location != location {
		t.Fatalf("%+v, %v from %q (oid %s)", links, err, text, oid)
	}
	if got := TablespaceMap(links, 150000); !bytes.Equal(got, text) {
		t.Errorf("rendered %q from %q", got, text)
	}
}

func FuzzBackupLabel(f *testing.F) {
	f.Add([]byte(streamedLabel))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseBackupLabel(data)
		if err != nil {
			return
		}
		once := l.Bytes()
		again, err := ParseBackupLabel(once)
		if err != nil {
			t.Fatalf("%v: %q from %q", err, once, data)
		}
		if !bytes.Equal(again.Bytes(), once) {
			t.Fatalf("%q then %q", once, again.Bytes())
		}
	})
}

func FuzzTablespaceMap(f *testing.F) {
	f.Add([]byte("16384 /a\\\nb\n16385 /c\\\\d\n"), 140000)
	f.Add([]byte("16384 /c\\d\n"), 130000)
	f.Fuzz(func(t *testing.T, data []byte, version int) {
		links, err := ParseTablespaceMap(data, version)
		if err != nil {
			return
		}
		back, err := ParseTablespaceMap(TablespaceMap(links, version), version)
		if err != nil || !reflect.DeepEqual(back, links) {
			t.Fatalf("%+v became %+v, %v", links, back, err)
		}
	})
}
