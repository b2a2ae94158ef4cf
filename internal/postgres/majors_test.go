package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"polarcast/internal/postgres"
	"polarcast/testenv"
)

type pgFiles struct {
	names map[string]int64
	label bytes.Buffer
	cur   string
}

func (f *pgFiles) Header(h *postgres.TarHeader) error {
	f.cur = h.Name
	f.names[h.Name] = h.Size
	return h.Unsafe
}
func (f *pgFiles) Data(p []byte) error {
	if f.cur == "backup_label" {
		f.label.Write(p)
	}
	return nil
}
func (f *pgFiles) End() error { return nil }

// TestMajors runs every command of the protocol against each major version of the server.
func TestMajors(t *testing.T) {
	if testing.Short() {
		t.Skip("eight servers take half a minute")
	}
	testenv.EachMajor(t, func(t *testing.T, major int) {
		ctx := context.Background()
		conf := ""
		if major >= 17 {
			conf = "summarize_wal = on\n"
		}
		s := testenv.Start(t, major, testenv.Options{Conf: conf})
		cfg, err := postgres.ParseConfig(postgres.ConnOptions{ConnString: s.ConnString(), Replication: true})
		if err != nil {
			t.Fatal(err)
		}
		c, err := postgres.Connect(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.ServerVersion()/10000 != major {
			t.Errorf("version %d", c.ServerVersion())
		}
		sys, err := c.IdentifySystem(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := c.Show(ctx, "wal_segment_size"); err != nil || v != "16MB" {
			t.Errorf("wal_segment_size %q, %v", v, err)
		}
		if err := c.CreatePhysicalSlot(ctx, "s", false, true); err != nil {
			t.Fatal(err)
		}
		if slot, err := c.ReadSlot(ctx, "s"); (err == nil) != (major >= 15) || major >= 15 && !slot.Exists {
			t.Errorf("%+v, %v", slot, err)
		}
		o := postgres.BaseBackupOptions{Label: "o'k \\", Progress: true, Fast: true, WAL: true, NoWait: true, VerifyChecksums: major%2 == 0, MaxRate: 1 << 20}
		if major >= 13 {
			o.Manifest, o.ManifestChecksums = "yes", "SHA224"
		}
		manifest := backup(ctx, t, c, o)
		if major >= 17 {
			if err := c.UploadManifest(ctx, bytes.NewReader(manifest)); err != nil {
				t.Fatal(err)
			}
			o.Incremental = true
			backup(ctx, t, c, o)
			if err := c.UploadManifest(ctx, strings.NewReader("no manifest")); err == nil || postgres.SQLState(err) == "" {
				t.Errorf("a bad manifest was taken: %v", err)
			}
			if _, err := c.IdentifySystem(ctx); err != nil {
				t.Errorf("connection after a bad manifest: %v", err)
			}
		}
		ws, err := c.StartReplication(ctx, "s", sys.XLogPos.SegmentStart(16<<20), sys.Timeline)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ws.Receive(time.Now().Add(time.Minute))
		if err != nil || len(m.Data) == 0 || m.Start != sys.XLogPos.SegmentStart(16<<20) {
			t.Errorf("first message %s with %d bytes, %v", m.Start, len(m.Data), err)
		}
		if err := ws.SendStatus(m.Start, m.Start, 0, true); err != nil {
			t.Error(err)
		}
		for !m.Keepalive && err == nil {
			m, err = ws.Receive(time.Now().Add(time.Minute))
		}
		if err != nil {
			t.Error(err)
		}
		if _, err := ws.Receive(time.Now().Add(time.Millisecond)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if err := ws.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := c.DropSlot(ctx, "s", true); err != nil {
			t.Error(err)
		}
		sqlCfg, err := postgres.ParseConfig(postgres.ConnOptions{ConnString: s.ConnString()})
		if err != nil {
			t.Fatal(err)
		}
		db, err := postgres.Connect(ctx, sqlCfg)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if v, err := db.Show(ctx, "search_path"); err != nil || strings.Trim(v, `"`) != "" {
			t.Errorf("search_path %q, %v", v, err)
		}
	})
}

// backup takes a base backup and checks that it is whole; it returns the manifest.
func backup(ctx context.Context, t *testing.T, c *postgres.Conn, o postgres.BaseBackupOptions) (manifest []byte) {
	t.Helper()
	command, err := postgres.BuildBaseBackup(c.ServerVersion(), o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.BaseBackup(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	files := &pgFiles{names: map[string]int64{}}
	var r *postgres.TarReader
	var archives []string
	for {
		it, err := b.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch it.Kind {
		case postgres.ItemArchive:
			archives = append(archives, it.Name)
			r = postgres.NewTarReader(files)
		case postgres.ItemData:
			if err := r.Feed(it.Data); err != nil {
				t.Fatal(err)
			}
		case postgres.ItemManifest:
			r = nil
		case postgres.ItemManifestData:
			manifest = append(manifest, it.Data...)
		case postgres.ItemArchiveEnd:
			if r != nil {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	end, tli, err := b.Finish()
	if err != nil || end <= b.StartLSN || tli != 1 {
		t.Fatalf("end %s on %d, %v", end, tli, err)
	}
	if len(archives) != 1 || archives[0] != "base.tar" || files.names["global/pg_control"] != 8192 {
		t.Errorf("archives %q, %d files", archives, len(files.names))
	}
	if files.names["pg_wal/"+postgres.SegmentName(1, b.StartLSN, 16<<20)] != 16<<20 {
		t.Error("WAL is missing")
	}
	if !strings.Contains(files.label.String(), "LABEL: "+o.Label+"\n") {
		t.Errorf("label %q", files.label.String())
	}
	if (o.Manifest != "") != bytes.Contains(manifest, []byte(`"Manifest-Checksum"`)) {
		t.Errorf("manifest of %d bytes", len(manifest))
	}
	return manifest
}
