package postgres_test

import (
	"bytes"
	"context"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/testenv"
)

// Every major's manifest is read, and written again byte for byte; servers that can read manifests (17 and later) take what the writer writes.
func TestManifestOfEveryMajor(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a server of every major")
	}
	testenv.EachMajor(t, func(t *testing.T, major int) {
		if major < 13 {
			return
		}
		ctx := context.Background()
		s := testenv.Start(t, major, testenv.Options{})
		cfg, err := postgres.ParseConfig(postgres.ConnOptions{ConnString: s.ConnString(), Replication: true})
		if err != nil {
			t.Fatal(err)
		}
		c, err := postgres.Connect(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		data := backup(ctx, t, c, postgres.BaseBackupOptions{Label: "m", Fast: true, WAL: true, NoWait: true, Manifest: "yes", ManifestChecksums: "SHA256"})
		var files []postgres.ManifestFile
		r := postgres.NewManifestReader(func(f *postgres.ManifestFile) error { files = append(files, *f); return nil })
		if _, err := r.Write(data); err != nil {
			t.Fatal(err)
		}
		info, err := r.Close()
		if err != nil || info.Version != postgres.ManifestVersion(c.ServerVersion()) || info.Files < 500 {
			t.Fatalf("%+v, %v", info, err)
		}
		write := func(forceEncode bool) []byte {
			var b bytes.Buffer
			w, err := postgres.NewManifestWriter(&b, postgres.ManifestOptions{Version: info.Version, SystemID: info.SystemID, ForceEncode: forceEncode})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if err := w.AddFile(f); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(info.WALRanges); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		if !bytes.Equal(write(false), data) {
			t.Error("written again it differs")
		}
		if !postgres.HasIncremental(c.ServerVersion()) {
			return
		}
		if err := c.UploadManifest(ctx, bytes.NewReader(write(true))); err != nil {
			t.Errorf("the server refuses what was written: %v", err)
		}
	})
}
