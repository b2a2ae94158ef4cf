package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// members collects the files of an archive.
type members struct {
	files map[string]*bytes.Buffer
	links map[string]string
	cur   *bytes.Buffer
}

func (m *members) Header(h *TarHeader) error {
	if h.Unsafe != nil {
		return fmt.Errorf("%s: %w", h.RawName, h.Unsafe)
	}
	m.cur = &bytes.Buffer{}
	if h.Type == TarRegular {
		m.files[h.Name] = m.cur
	}
	if h.Type == TarSymlink {
		m.links[h.Name] = h.Link
	}
	return nil
}
func (m *members) Data(p []byte) error { m.cur.Write(p); return nil }
func (m *members) End() error          { return nil }

func testBaseBackup(t *testing.T, s *pgServer) {
	space := filepath.Join(s.dir, "space")
	os.Mkdir(space, 0o700)
	s.own(space)
	s.sql("CREATE TABLESPACE sp LOCATION '" + space + "'")
	s.sql("CREATE TABLE public.t TABLESPACE sp AS SELECT g FROM pg_catalog.generate_series(1, 1000) g")
	s.sql("CREATE UNLOGGED TABLE public.u AS SELECT pg_catalog.repeat('x', 100) FROM pg_catalog.generate_series(1, 40000) g")
	path := s.sql("SELECT pg_catalog.pg_relation_filepath('public.t')")[0].text(0)
	t.Setenv("PGPASSWORD", password)
	for _, o := range []ConnOptions{replicationOptions(s), {ConnString: "host=localhost user=secret sslmode=require", Replication: true}} {
		for _, bo := range []BaseBackupOptions{
			{Label: "it's", Progress: true, Fast: true, WAL: true, VerifyChecksums: true, Manifest: "yes"},
			{Fast: true, NoWait: true},
		} {
			c := s.connect(o)
			command, err := BuildBaseBackup(c.ServerVersion(), bo)
			if err != nil {
				t.Fatal(err)
			}
			b, err := c.BaseBackup(context.Background(), command)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Tablespaces) != 2 || b.Tablespaces[0].Location != space || b.Tablespaces[1].OID != 0 || b.Polar || (b.Tablespaces[0].SizeKB >= 0) != bo.Progress {
				t.Errorf("%+v", b.Tablespaces)
			}
			if _, err := c.IdentifySystem(context.Background()); err == nil {
				t.Error("connection takes commands in the middle of a backup")
			}
			all, manifest := readBackup(t, b)
			end, tli, err := b.Finish()
			if err != nil || end <= b.StartLSN || tli != 1 {
				t.Errorf("end %s on %d, %v", end, tli, err)
			}
			oid := strconv.Itoa(int(b.Tablespaces[0].OID))
			base, ts := all["base.tar"], all[oid+".tar"]
			if base == nil || ts == nil {
				t.Fatalf("archives %v", all)
			}
			if base.links["pg_tblspc/"+oid] != space {
				t.Errorf("links %v", base.links)
			}
			want, _ := os.ReadFile(filepath.Join(s.data, path))
			if got := ts.files[strings.TrimPrefix(path, "pg_tblspc/"+oid+"/")]; got == nil || !bytes.Equal(got.Bytes(), want) || len(want) == 0 {
				t.Errorf("file %s of the tablespace differs", path)
			}
			if label := base.files["backup_label"].String(); !strings.Contains(label, "START WAL LOCATION: "+b.StartLSN.String()) {
				t.Errorf("label %s", label)
			}
			if base.files["global/pg_control"].Len() != 8192 {
				t.Error("no control file")
			}
			seg := base.files["pg_wal/"+SegmentName(1, b.StartLSN, 16<<20)]
			if (seg != nil) != bo.WAL {
				t.Errorf("WAL: %v", seg != nil)
			}
			if (len(manifest) > 0) != (bo.Manifest != "") || bo.Manifest != "" && !strings.Contains(string(manifest), `"Manifest-Checksum"`) {
				t.Errorf("manifest of %d bytes", len(manifest))
			}
			if _, err := c.IdentifySystem(context.Background()); err != nil {
				t.Errorf("connection after the backup: %v", err)
			}
		}
	}
}

// readBackup parses all archives of a backup.
func readBackup(t *testing.T, b *BaseBackup) (all map[string]*members, manifest []byte) {
	t.Helper()
	all = map[string]*members{}
	var r *TarReader
	for {
		it, err := b.Next()
		if err == io.EOF {
			return all, manifest
		}
		if err == nil {
			switch it.Kind {
			case ItemArchive:
				m := &members{files: map[string]*bytes.Buffer{}, links: map[string]string{}}
				all[it.Name] = m
				r = NewTarReader(m)
				if it.Tablespace == nil {
					err = errors.New("no tablespace")
				}
			case ItemData:
				err = r.Feed(it.Data)
			case ItemArchiveEnd:
				err = r.Close()
			case ItemManifest:
				r = NewTarReader(nil)
			case ItemManifestData:
				manifest = append(manifest, it.Data...)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
