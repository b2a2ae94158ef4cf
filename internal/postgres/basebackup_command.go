package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// BaseBackupOptions are the options of BASE_BACKUP. The zero value asks for a spread checkpoint, no verification of checksums, no WAL, no
// manifest.
type BaseBackupOptions struct {
	Label    string // "" leaves it to the server ("base backup")
	Progress bool   // have the server estimate the size
	Fast     bool   // immediate checkpoint
	WAL      bool   // append the WAL that the backup needs
	NoWait   bool   // do not wait for the last WAL to be archived (NOWAIT, WAIT 0)
	MaxRate  int    // kB/s, 32 to 1048576; 0 is no limit

	// TablespaceMap asks for a tablespace_map in place of symbolic links. It is left out for PolarDB 15 and later with shared storage: such a
	// server then drops the contents of the shared pg_tblspc from the backup.
	TablespaceMap     bool
	VerifyChecksums   bool   // have the server verify page checksums; not to do so needs 11 or later
	Manifest          string // "yes", "force-encode"; "" and "no" ask for none (13 and later)
	ManifestChecksums string // CRC32C, SHA224, …, NONE; "" leaves it to the server
	Incremental       bool   // relative to the manifest of UploadManifest (17 and later)
	Target            string // "client", "server", "blackhole"; "" is "client" (15 and later)
	TargetDetail      string // a directory of the server
	Compression       string // method of compression by the server, gzip, lz4, zstd (15 and later)
	CompressionDetail string // its level and options
	// EmptyDetail sends CompressionDetail although it is empty: the server then says what is wrong with "gzip:".
	EmptyDetail bool
	PolarShared bool // the server is a PolarDB with polar_enable_shared_storage_mode on
}

// BuildBaseBackup writes the command as pg_basebackup does: keywords up to version 14, a parenthesised list from 15 on. serverVersion is
// Conn.ServerVersion. An option that the server does not know is an error.
func BuildBaseBackup(serverVersion int, o BaseBackupOptions) (string, error) {
	if err := checkBaseBackup(serverVersion, o); err != nil {
		return "", err
	}
	var opts []string
	add := func(when bool, opt string) {
		if when {
			opts = append(opts, opt)
		}
	}
	list := serverVersion >= 150000
	choose := func(listed, keyword string) string {
		if list {
			return listed
		}
		return keyword
	}
	manifest := o.Manifest != "" && o.Manifest != "no"
	target := o.Target
	if target == "" && list {
		target = "client"
	}
	add(o.Label != "", "LABEL "+quoteLiteral(o.Label))
	add(o.Progress, "PROGRESS")
	add(o.WAL, "WAL")
	add(o.Fast, choose("CHECKPOINT 'fast'", "FAST"))
	add(o.NoWait, choose("WAIT 0", "NOWAIT"))
	add(o.MaxRate > 0, "MAX_RATE "+strconv.Itoa(o.MaxRate))
	add(o.TablespaceMap && !(o.PolarShared && list), "TABLESPACE_MAP")
	add(!o.VerifyChecksums, choose("VERIFY_CHECKSUMS 0", "NOVERIFY_CHECKSUMS"))
	add(manifest, "MANIFEST "+quoteLiteral(o.Manifest))
	add(manifest && o.ManifestChecksums != "", "MANIFEST_CHECKSUMS "+quoteLiteral(o.ManifestChecksums))
	add(o.Incremental, "INCREMENTAL")
	add(target != "", "TARGET "+quoteLiteral(target))
	add(o.TargetDetail != "", "TARGET_DETAIL "+quoteLiteral(o.TargetDetail))
	add(o.Compression != "", "COMPRESSION "+quoteLiteral(o.Compression))
	add(o.Compression != "" && (o.CompressionDetail != "" || o.EmptyDetail), "COMPRESSION_DETAIL "+quoteLiteral(o.CompressionDetail))
	switch {
	case len(opts) == 0:
		return "BASE_BACKUP", nil
	case list:
		return "BASE_BACKUP (" + strings.Join(opts, ", ") + ")", nil
	default:
		return "BASE_BACKUP " + strings.Join(opts, " "), nil
	}
}

func checkBaseBackup(version int, o BaseBackupOptions) error {
	for _, s := range []string{o.Label, o.Manifest, o.ManifestChecksums, o.Target, o.TargetDetail, o.Compression, o.CompressionDetail} {
		if strings.IndexByte(s, 0) >= 0 {
			return errors.New("an option of the base backup cannot hold a zero byte")
		}
	}
	if o.MaxRate != 0 && (o.MaxRate < 32 || o.MaxRate > 1048576) {
		return fmt.Errorf("transfer rate %d kB/s is out of range: 32 to 1048576 is possible", o.MaxRate)
	}
	needs := func(asked bool, what string, min int) error {
		if asked && version < min {
			return fmt.Errorf("%s needs a server of version %d or later; this one is %d", what, min/10000, version/10000)
		}
		return nil
	}
	return errors.Join(
		needs(!o.VerifyChecksums, "switching off the verification of checksums", 110000),
		needs(o.Manifest != "" && o.Manifest != "no", "a backup manifest", 130000),
		needs(o.Target != "" && o.Target != "client", "a backup target other than the client", 150000),
		needs(o.Compression != "", "compression by the server", 150000),
		needs(o.Incremental, "an incremental backup", 170000),
	)
}
