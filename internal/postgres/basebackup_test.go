package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

// drain reads a backup to its end and tells what came, data joined.
func drain(b *BaseBackup) (events []string, err error) {
	var data []byte
	flush := func() {
		if len(data) > 0 {
			events = append(events, fmt.Sprintf("data %s", data))
			data = nil
		}
	}
	for {
		it, err := b.Next()
		if err == io.EOF {
			flush()
			return events, nil
		}
		if err != nil {
			return events, err
		}
		switch it.Kind {
		case ItemData, ItemManifestData:
			data = append(data, it.Data...)
			continue
		case ItemArchive:
			flush()
			t := "unknown"
			if it.Tablespace != nil {
				t = fmt.Sprintf("%d %q %v", it.Tablespace.OID, it.Tablespace.Location, it.Tablespace.Shared)
			}
			events = append(events, "archive "+it.Name+" of "+t)
		case ItemArchiveEnd:
			flush()
			events = append(events, "end")
		case ItemManifest:
			flush()
			events = append(events, "manifest")
		case ItemProgress:
			flush()
			events = append(events, fmt.Sprintf("progress %d", it.Bytes))
		}
	}
}

func run(t *testing.T, version string, s *script, step int) (*BaseBackup, []string) {
	t.Helper()
	c, _ := scriptConn(version, s.b, step)
	b, err := c.BaseBackup(context.Background(), "BASE_BACKUP")
	if err != nil {
		t.Fatal(err)
	}
	events, err := drain(b)
	if err != nil {
		t.Fatal(err)
	}
	end, tli, err := b.Finish()
	if err != nil || end != 0xC000138 || tli != 1 {
		t.Fatalf("end is %s on %d, %v", end, tli, err)
	}
	if b.StartLSN != 0xC000028 || b.StartTimeline != 1 {
		t.Errorf("start is %s on %d", b.StartLSN, b.StartTimeline)
	}
	if err := c.ready(); err != nil {
		t.Errorf("connection is not usable after the backup: %v", err)
	}
	return b, events
}

// TestBaseBackupShapes has the answers of all servers: the wire dumps of PolarDB 11 and 15, PostgreSQL 11, 13 (with a manifest) and 15.
func TestBaseBackupShapes(t *testing.T) {
	polar11 := (&script{}).
		start(polarHeader, []any{"16384", "/abs/ts1", "0", "1"}, []any{nil, nil, "31277", nil}, []any{nil, nil, "1033006", "1"}).
		copyOut().data("space").copyDone().
		copyOut().data("loc").data("al").copyDone().
		copyOut().data("shared").copyDone().
		end().ready()
	pg13 := (&script{}).
		start(plainHeader, []any{"16384", "/abs/ts1", nil}, []any{nil, nil, nil}).
		copyOut().data("space").copyDone().
		notice("checksum verification failed").
		copyOut().data("base").copyDone().
		copyOut().data("{}").copyDone().
		end().ready()
	polar15 := (&script{}).
		start(polarHeader, []any{nil, nil, "121", nil}, []any{nil, nil, "1039005", "1"}).
		copyOut().
		data("nbase.tar\x00\x00").data("dloc").data("dal").data("p", uint64(5)).
		msg('S', "application_name\x00x\x00").
		data("ndata.tar\x00\x00").data("dshared").data("p", uint64(11)).
		data("m").data("d{").data("d}").
		copyDone().end().ready()
	pg15 := (&script{}).
		start(plainHeader, []any{"16384", "/abs/ts1", "7"}, []any{nil, nil, "9"}).
		copyOut().
		data("n16384.tar.gz\x00/abs/ts1\x00").data("dspace").
		data("nbase.tar.gz\x00\x00").data("dbase").
		copyDone().end().ready()
	for _, c := range []struct {
		name, version string
		s             *script
		polar         bool
		want          []string
	}{
		{"PolarDB 11", "11.9", polar11, true, []string{`archive 16384.tar of 16384 "/abs/ts1" false`, "data space", "end",
			`archive base.tar of 0 "" false`, "data local", "end", `archive data.tar of 0 "" true`, "data shared", "end"}},
		{"PostgreSQL 13", "13.23", pg13, false, []string{`archive 16384.tar of 16384 "/abs/ts1" false`, "data space", "end",
			`archive base.tar of 0 "" false`, "data base", "end", "manifest", "data {}", "end"}},
		{"PolarDB 15", "15.8", polar15, true, []string{`archive base.tar of 0 "" false`, "data local", "progress 5", "end",
			`archive data.tar of 0 "" true`, "data shared", "progress 11", "end", "manifest", "data {}", "end"}},
		{"PostgreSQL 15", "15.18 (Debian 15.18-0+deb12u1)", pg15, false, []string{`archive 16384.tar.gz of 16384 "/abs/ts1" false`, "data space", "end",
			`archive base.tar.gz of 0 "" false`, "data base", "end"}},
	} {
		for _, step := range []int{0, 1, 7} { // however the network cuts it
			t.Run(fmt.Sprintf("%s in steps of %d", c.name, step), func(t *testing.T) {
				b, got := run(t, c.version, c.s, step)
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("got  %q\nwant %q", got, c.want)
				}
				if b.Polar != c.polar {
					t.Errorf("Polar is %v", b.Polar)
				}
			})
		}
	}
}

func TestBaseBackupHeader(t *testing.T) {
	s := (&script{}).start(polarHeader, []any{"16384", "/abs/ts1", "0", "1"}, []any{nil, nil, nil, nil}, []any{nil, nil, "5", "1"})
	c, _ := scriptConn("15.8", s.b, 0)
	b, err := c.BaseBackup(context.Background(), "BASE_BACKUP")
	if err != nil {
		t.Fatal(err)
	}
	want := []Tablespace{{OID: 16384, Location: "/abs/ts1"}, {SizeKB: -1}, {SizeKB: 5, Shared: true}}
	if !reflect.DeepEqual(b.Tablespaces, want) {
		t.Errorf("got  %+v\nwant %+v", b.Tablespaces, want)
	}
}

// TestBaseBackupBigMessages sends messages larger than the buffer, which must pass through it without growing it.
func TestBaseBackupBigMessages(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16)
	s := (&script{}).start(plainHeader, []any{nil, nil, nil}).copyOut().
		data("nbase.tar\x00\x00").data("d", big).data("d", big[:wireBufferSize-1]).copyDone().end().ready()
	c, _ := scriptConn("16.1", s.b, 0)
	b, err := c.BaseBackup(context.Background(), "BASE_BACKUP")
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		it, err := b.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, it.Data...)
	}
	if want := append(append([]byte{}, big...), big[:wireBufferSize-1]...); !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
	if len(c.wire.buf) != wireBufferSize {
		t.Errorf("buffer has grown to %d bytes", len(c.wire.buf))
	}
	if _, _, err := b.Finish(); err != nil {
		t.Error(err)
	}
}

// TestBaseBackupChecksumFailure has PostgreSQL's answer to a damaged page: everything is delivered, then the error comes after the end position.
func TestBaseBackupChecksumFailure(t *testing.T) {
	s := (&script{}).start(plainHeader, []any{nil, nil, nil}).copyOut().data("nbase.tar\x00\x00").
		notice("checksum verification failed in file \"./base/5/16393\", block 0: calculated 2A84 but expected 4EC5").
		data("dx").copyDone().end().fail("ERROR", "XX001", "checksum verification failure during base backup").ready()
	c, _ := scriptConn("15.8", s.b, 0)
	var notices []string
	c.cfg.OnNotice = func(severity, message, _, _, _ string) { notices = append(notices, severity+" "+message) }
	b, err := c.BaseBackup(context.Background(), "BASE_BACKUP")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drain(b); err != nil {
		t.Fatal(err)
	}
	end, _, err := b.Finish()
	if !errors.Is(err, ErrChecksumFailure) || end != 0xC000138 {
		t.Errorf("end %s, error %v", end, err)
	}
	if len(notices) != 1 || !strings.HasPrefix(notices[0], "WARNING checksum verification failed in file") {
		t.Errorf("notices %q", notices)
	}
}

func TestBaseBackupErrors(t *testing.T) {
	header := func() *script { return (&script{}).start(plainHeader, []any{nil, nil, nil}) }
	huge := binary.BigEndian.AppendUint32([]byte("d"), 0x7FFFFFFF)
	for _, c := range []struct {
		name, version string
		s             *script
		want          string
	}{
		{"refused", "15.1", (&script{}).fail("ERROR", "42601", "syntax error").ready(), "could not initiate base backup: ERROR:  syntax error"},
		{"no header", "15.1", (&script{}).columns("recptr", "tli").row("0/1", "1").complete("SELECT").ready(), "in place of a result"},
		{"bad position", "15.1", (&script{}).columns("recptr", "tli").row("nowhere", "1").complete("SELECT"), "invalid write-ahead log location"},
		{"shared without column", "15.1", (&script{}).start([]string{"spcoid", "spclocation"}, []any{nil, nil}), "2 columns"},
		{"error in the copy", "15.1", header().copyOut().data("nbase.tar\x00\x00").fail("ERROR", "58030", "could not read file").ready(),
			"could not read COPY data: ERROR:  could not read file"},
		{"cut", "15.1", header().copyOut().data("nbase.tar\x00\x00").data("dx"), "server closed the connection unexpectedly"},
		{"data without archive", "15.1", header().copyOut().data("dx"), "data before the first archive"},
		{"path as a name", "15.1", header().copyOut().data("n../x.tar\x00\x00"), "invalid archive name"},
		{"slash in a name", "15.1", header().copyOut().data("na/x.tar\x00\x00"), "invalid archive name"},
		{"unterminated name", "15.1", header().copyOut().data("nbase.tar"), "malformed announcement"},
		{"unknown type", "15.1", header().copyOut().data("zbase.tar"), "inside the copy"},
		{"too many archives", "12.1", header().copyOut().copyDone().copyOut().copyDone().copyOut(), "more archives than tablespaces"},
		{"too few archives", "12.1", header().end().ready(), "in a base backup"},
		{"impossible length", "15.1", &script{append(header().copyOut().b, huge...)}, "with length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, n := scriptConn(c.version, c.s.b, 0)
			b, err := conn.BaseBackup(context.Background(), "BASE_BACKUP")
			if err == nil {
				_, err = drain(b)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error is %v, want %q", err, c.want)
			}
			if b != nil {
				if _, _, err := b.Finish(); err == nil {
					t.Error("Finish after an error succeeded")
				}
			}
			var server *ServerError
			if !errors.As(err, &server) && !n.closed {
				t.Error("connection is still open after a broken exchange")
			}
		})
	}
}

func TestBuildBaseBackup(t *testing.T) {
	for _, c := range []struct {
		version int
		o       BaseBackupOptions
		want    string
	}{
		{150018, BaseBackupOptions{Label: "pg_basebackup base backup", Progress: true, Fast: true, NoWait: true, VerifyChecksums: true, Manifest: "yes"},
			"BASE_BACKUP (LABEL 'pg_basebackup base backup', PROGRESS, CHECKPOINT 'fast', WAIT 0, MANIFEST 'yes', TARGET 'client')"},
		{110009, BaseBackupOptions{Label: "pg_basebackup base backup", Fast: true, NoWait: true, VerifyChecksums: true},
			"BASE_BACKUP LABEL 'pg_basebackup base backup' FAST NOWAIT"},
		{140005, BaseBackupOptions{Label: "it's", WAL: true, MaxRate: 100, TablespaceMap: true, Manifest: "force-encode", ManifestChecksums: "SHA256"},
			"BASE_BACKUP LABEL 'it''s' WAL MAX_RATE 100 TABLESPACE_MAP NOVERIFY_CHECKSUMS MANIFEST 'force-encode' MANIFEST_CHECKSUMS 'SHA256'"},
		{170000, BaseBackupOptions{VerifyChecksums: true, Incremental: true, Target: "server", TargetDetail: "/b", Compression: "zstd", CompressionDetail: "level=3"},
			"BASE_BACKUP (INCREMENTAL, TARGET 'server', TARGET_DETAIL '/b', COMPRESSION 'zstd', COMPRESSION_DETAIL 'level=3')"},
		{150008, BaseBackupOptions{TablespaceMap: true, PolarShared: true}, "BASE_BACKUP (VERIFY_CHECKSUMS 0, TARGET 'client')"},
		{110009, BaseBackupOptions{TablespaceMap: true, PolarShared: true, VerifyChecksums: true}, "BASE_BACKUP TABLESPACE_MAP"},
		{120000, BaseBackupOptions{VerifyChecksums: true, Manifest: "no"}, "BASE_BACKUP"},
	} {
		got, err := BuildBaseBackup(c.version, c.o)
		if err != nil || got != c.want {
			t.Errorf("%d:\ngot  %s, %v\nwant %s", c.version, got, err, c.want)
		}
	}
	for _, c := range []struct {
		version int
		o       BaseBackupOptions
	}{
		{120000, BaseBackupOptions{Manifest: "yes"}}, {140000, BaseBackupOptions{Compression: "lz4"}}, {160000, BaseBackupOptions{Incremental: true}},
		{140000, BaseBackupOptions{Target: "blackhole"}}, {150000, BaseBackupOptions{MaxRate: 31}}, {150000, BaseBackupOptions{Label: "a\x00b"}},
	} {
		if got, err := BuildBaseBackup(c.version, c.o); err == nil {
			t.Errorf("%d %+v: no error, got %s", c.version, c.o, got)
		}
	}
}
