package basebackup

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"polarcast/internal/cli"
)

// parse reads a command line with arguments separated by "|".
func parse(t *testing.T, line string) (*Options, error) {
	t.Helper()
	return Parse(append([]string{"/usr/bin/polar_basebackup"}, strings.Split(line, "|")...))
}

func mustParse(t *testing.T, line string) *Options {
	t.Helper()
	o, err := parse(t, line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return o
}

func TestEveryOption(t *testing.T) {
	for _, c := range []struct {
		line string
		want func(*Options)
	}{
		{"-D|d", func(*Options) {}},
		{"--pgdata=d|-Fp|-c|FAST", func(o *Options) { o.FastCheckpoint = true }},
		{"-Dd|-Ft|-z", func(o *Options) {
			o.Format = Tar
			o.Compression = Compression{Method: "gzip", Level: -1}
		}},
		{"-D|d|--format=tar|-Z|7", func(o *Options) {
			o.Format = Tar
			o.Compression = Compression{Method: "gzip", Detail: "7", HasDetail: true, Level: 7}
		}},
		{"-D|d|-Ft|-Z|client-zstd:level=9,workers=4,long", func(o *Options) {
			o.Format = Tar
			o.Compression = Compression{Method: "zstd", Detail: "level=9,workers=4,long", HasDetail: true, Level: 9, Workers: 4, Long: true, location: onClient}
		}},
		{"-D|d|-Ft|-Z|zstd:long=off", func(o *Options) {
			o.Format = Tar
			o.Compression = Compression{Method: "zstd", Detail: "long=off", HasDetail: true, Level: 3}
		}},
		{"-D|d|-Z|0", func(*Options) {}},
		{"-D|d|-Z|server-lz4:5", func(o *Options) {
			o.Compression = Compression{Server: true, Method: "lz4", Detail: "5", HasDetail: true, location: onServer}
		}},
		{"-D|d|-i|m", func(o *Options) { o.Incremental = "m" }},
		{"-D|d|-r|2M|-s|0|-l|x", func(o *Options) { o.MaxRate, o.StatusInterval, o.Label = 2048, 0, "x" }},
		{"-D|d|-vPRnN", func(o *Options) {
			o.Verbose, o.Progress, o.WriteRecoveryConf, o.NoClean, o.NoSync = 1, true, true, true, true
		}},
		{"-D|d|-C|-S|s", func(o *Options) { o.CreateSlot, o.Slot = true, "s" }},
		{"-D|d|--no-slot|-Xf", func(o *Options) { o.NoSlot, o.WALMethod = true, "fetch" }},
		{"-D|d|-X|n|--waldir=/w//x/", func(o *Options) { o.WALMethod, o.WALDir = "none", "/w/x" }},
		{`-D|d|-T|/a\=b//=/c/|-T|/d=/e`, func(o *Options) { o.Tablespaces = []Mapping{{"/a=b", "/c"}, {"/d", "/e"}} }},
		{"-D|d|--manifest-checksums=Sha256|--manifest-force-encode|--no-estimate-size|--no-verify-checksums", func(o *Options) {
			o.ManifestChecksums, o.ManifestForceEncode, o.NoEstimateSize, o.NoVerifyChecksums = "Sha256", true, true, true
		}},
		{"-D|d|--no-manifest|--sync-method=syncfs", func(o *Options) { o.NoManifest, o.SyncMethod = true, "syncfs" }},
		{"-D|d|-d|service=x|-h|h|-p|1|-U|u|-w", func(o *Options) {
			o.ConnString, o.Host, o.Port, o.User, o.Password = "service=x", "h", "1", "u", PasswordNever
		}},
		{"-D|d|-W", func(o *Options) { o.Password = PasswordForce }},
		{"-t|server:/x:y|-X|fetch|-Z|gzip:3", func(o *Options) {
			o.Directory, o.Target, o.TargetDetail, o.HasTargetDetail, o.WALMethod = "", "server", "/x:y", true, "fetch"
			o.Compression = Compression{Server: true, Method: "gzip", Detail: "3", HasDetail: true}
		}},
		{"-t|client|-D|d", func(*Options) {}},
		{"-D|d|--polardata=/disk1/data|--polar_disk_home=disk1|--polar_host_id=3|--polar_storage_cluster_name=disk", func(o *Options) {
			o.PolarData, o.PolarDiskName, o.PolarHostID, o.PolarCluster = "/disk1/data", "disk1", 3, "disk"
		}},
		{"-D|d|--polardata=/disk1/data|--polar_disk=disk1|--polar_h=3|--pfsd-lib=l|--force-mount", func(o *Options) {
			o.PolarData, o.PolarDiskName, o.PolarHostID, o.PFSDLibrary, o.ForceMount = "/disk1/data", "disk1", 3, "l", true
		}},
		{"-D|d|--polardata=shared|-Ft|-Xf", func(o *Options) { o.PolarData, o.Format, o.WALMethod = "shared", Tar, "fetch" }},
		{"-D|d|--nats=a,tls://b:1|--creds=c|--tls-ca=e|--tls-cert=f|--tls-key=g|--nats-context=x", func(o *Options) {
			o.NATS = cli.NATSFlags{URLs: []string{"nats://a", "tls://b:1"}, Creds: "c", TLSCA: "e", TLSCert: "f", TLSKey: "g", Context: "x"}
		}},
		{"-D|d|--read=sql|--jobs=4|--codec=zstd", func(o *Options) { o.Source, o.Read, o.Jobs, o.Codec = "files", "sql", 4, "zstd" }},
		{"-D|d|--stitch|--report=r|--resume", func(o *Options) { o.Source, o.Stitch, o.Report = "files", true, "r" }},
		{"-D|d|--delta", func(o *Options) { o.Delta = true }},
		{"-D|d|--no-resume", func(o *Options) { o.Resume = false }},
		{"-D|d|--node=replica|--polar_host_id=2|--set=port=5433|--set=a.b = c=d|--start|--local=config", func(o *Options) {
			o.NodeIs, o.PolarHostID, o.Start, o.LocalIs = "replica", 2, true, "config"
			o.Set = []Setting{{"port", "5433"}, {"a.b", "c=d"}}
		}},
	} {
		want := defaults("/usr/bin/polar_basebackup")
		want.Directory, want.Format = "d", Plain
		c.want(want)
		if got := mustParse(t, c.line); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.line, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	o := mustParse(t, "-D|d")
	if o.WALMethod != "stream" || o.Format != Plain || o.FastCheckpoint || !o.Resume || o.StatusInterval != 10*time.Second ||
		o.Label != "pg_basebackup base backup" || !o.TemporarySlot() || o.Manifest() != "yes" || o.Compression.Client() != "none" {
		t.Errorf("defaults: %+v", o)
	}
	if method, _ := o.Compression.ServerOptions(); method != "" {
		t.Errorf("server compression by default: %q", method)
	}
}

func TestServerOptions(t *testing.T) {
	for line, want := range map[string][2]string{
		"-D|d|-Z|server-zstd:level=3,long": {"zstd", "level=3,long"},
		"-D|d|-Z|server-gzip":              {"gzip", ""},
		"-t|blackhole|-Xn|-Z|lz4":          {"lz4", ""},
		"-t|blackhole|-Xn":                 {"none", ""},
		"-D|d|-Z|server-5":                 {"gzip", "5"},
		"-D|d|-Ft|-Z|gzip":                 {"", ""},
	} {
		o := mustParse(t, line)
		method, detail := o.Compression.ServerOptions()
		if method != want[0] || detail != want[1] {
			t.Errorf("%s: COMPRESSION %q, COMPRESSION_DETAIL %q", line, method, detail)
		}
	}
}

func TestAbbreviationsOfTheOriginalStay(t *testing.T) {
	// --stat and --sta… would be --start or --stitch, --po would be --polardata.
	o := mustParse(t, "-D|d|--sta=3|--po=77|--no-c|--targ=client")
	if o.StatusInterval != 3*time.Second || o.Port != "77" || !o.NoClean || o.Start {
		t.Errorf("%+v", o)
	}
	_, err := parse(t, "-D|d|--targ=client|--nats=x|--no=3")
	if err == nil || !strings.HasPrefix(err.Error(), "option '--no=3' is ambiguous; possibilities: '--no-clean' '--no-sync'") {
		t.Errorf("--no: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for line, want := range map[string]string{
		"-t|":                                  "the backup target of -t/--target is empty",
		"-D|":                                  "the output directory of -D/--pgdata is empty",
		"-t|:|-Xn":                             "the backup target of -t/--target is empty",
		"-t|client:x|-Xn":                      `target "client" does not accept a target detail`,
		"-D|d|-S|":                             "the replication slot name of -S/--slot is empty",
		"-t|blackhole|-Xn|-R":                  "recovery configuration cannot be written when a backup target is used",
		"-D|d|-l|" + strings.Repeat("l", 1025): "backup label too long (max 1024 bytes)",
		"-D|d|--manifest-checksums=md5":        `unrecognized checksum algorithm: "md5"`,
		"-D|d|--sync-method=x":                 "unrecognized sync method: x",
		// PolarDB's
		"-D|-|-Ft|-Xf|--polardata=x":                                       "In shared storage mode, backup sets cannot be output to standard outputs.",
		"-D|d|--polar_disk_name=x":                                         "In shared storage mode, the polardata, polar_disk_name and polar_host_id parameters must be specified or not.",
		"-D|d|--polar_host_id=1":                                           "In shared storage mode, the polardata, polar_disk_name and polar_host_id parameters must be specified or not.",
		"-D|d|--polar_storage_cluster_name=1":                              "In shared storage mode, the polardata, polar_disk_name and polar_host_id parameters must be specified or not.",
		"-D|d|--polardata=/x/y|--polar_disk_home=x":                        "In shared storage mode, polar_disk_name and polar_host_id must be specified.",
		"-D|d|--polardata=/x/y|--polar_host_id=1":                          "In shared storage mode, The polardata, polar_disk_name and polar_host_id parameters must be specified or not.",
		"-D|d|--polardata=/x/y|--polar_storage_cluster_name=1":             "In shared storage mode, The polardata, polar_disk_name and polar_host_id parameters must be specified or not.",
		"-D|d|--polar_host_id=0":                                           "--polar_host_id must be in range 1..254",
		"-D|d|--polar_host_id=255":                                         "--polar_host_id must be in range 1..254",
		"-D|d|--polar_host_id=x":                                           `invalid value "x" for option --polar_host_id`,
		"-t|blackhole|-Xn|--polardata=x":                                   "--polardata and --target are incompatible options",
		"-D|d|--polardata=/y/x|--polar_disk_name=x|--polar_host_id=1":      `--polardata "/y/x" is not below "/x/", the disk of --polar_disk_name`,
		"-D|d|--polardata=/x|--polar_disk_name=x|--polar_host_id=1":        `--polardata "/x" is not below "/x/", the disk of --polar_disk_name`,
		"-D|d|--polardata=/x/../y|--polar_disk_name=x|--polar_host_id=1":   `--polardata "/x/../y" is not below "/x/", the disk of --polar_disk_name`,
		"-D|d|--polardata=/x/.pfs-j|--polar_disk_name=x|--polar_host_id=1": `--polardata "/x/.pfs-j" names a file of PFS itself`,
		"-D|d|--polardata=/a/b/c|--polar_disk_name=a/b|--polar_host_id=1":  `invalid --polar_disk_name "a/b", must be the name of a block device without "/", of at most 63 bytes`,
		// ours
		"-D|d|--resume|--no-resume":         "--resume and --no-resume are incompatible options",
		"-D|-|-Ft|-Xf|--resume":             "--resume and --pgdata=- are incompatible options",
		"-t|blackhole|-Xn|--resume":         "--resume and --target are incompatible options",
		"-D|d|--stitch|--source=stream":     "--stitch and --source=stream are incompatible options",
		"-D|d|--read=sql|--source=stream":   "--read=sql and --source=stream are incompatible options",
		"-t|blackhole|-Xn|--source=files":   "--source=files and --target are incompatible options",
		"-D|d|-i|m|--source=files":          "--source=files and --incremental are incompatible options",
		"-D|d|-i|m|--read=path":             "--source=files and --incremental are incompatible options",
		"-D|d|-i|m|--stitch":                "--source=files and --incremental are incompatible options",
		"-D|d|-Z|server-lz4|--source=files": "--source=files and --compress=server-lz4 are incompatible options",
		"-D|d|--delta|--no-resume":          "--delta and --no-resume are incompatible options",
		"-D|d|--delta|--stitch":             "--delta and --stitch are incompatible options",
		"-D|d|--delta|-Ft":                  "--delta and --format=tar are incompatible options",
		"-t|blackhole|-Xn|--delta":          "--delta and --target are incompatible options",
		"-D|d|--delta|-i|m":                 "--delta and --incremental are incompatible options",
		"-D|d|--delta|--polardata=x":        "--delta and --polardata are incompatible options",
		"-D|d|--node=standby|-Ft":           "--node=standby and --format=tar are incompatible options",
		"-t|blackhole|-Xn|--node=primary":   "--node=primary and --target are incompatible options",
		"-D|d|--node=primary|-i|m":          "--node=primary and --incremental are incompatible options",
		"-D|d|--node=standby|--local=none":  "--node=standby and --local=none are incompatible options",
		"-D|d|--node=replica|--polardata=x": "--node=replica and --polardata are incompatible options",
		"-t|blackhole|-Xn|--local=none":     "--local=none and --target are incompatible options",
		"-D|d|-i|m|--local=config":          "--local=config and --incremental are incompatible options",
		"-D|d|--start":                      "--start needs a node to be specified using --node",
		"-D|d|--set=a=b|--node=none":        "--set needs a node to be specified using --node",
		"-D|d|--set=a":                      `invalid --set argument "a", must be "NAME=VALUE"`,
		"-D|d|--set==b":                     `invalid --set argument "=b", must be "NAME=VALUE"`,
		"-D|d|--set=a b=c":                  `invalid --set argument "a b=c", must be "NAME=VALUE"`,
		"-D|d|--set=a=b\nc=d":               `invalid --set argument "a": a value cannot have a line break`,
		"-D|d|--force-mount":                "--force-mount needs a disk to be specified using --polar_disk_name",
		"-D|d|--creds=x":                    "--creds needs a server to be specified using --nats or --nats-context",
		"-D|d|--tls-key=x":                  "--tls-key needs a server to be specified using --nats or --nats-context",
		"-D|d|--nats=a|--tls-key=x":         "--tls-cert and --tls-key must be specified together",
		"-D|d|--nats=":                      "invalid server in --nats: must be URL[,URL...], for example nats://host:4222",
		"-D|d|--nats=a,,b":                  "invalid server in --nats: must be URL[,URL...], for example nats://host:4222",
		"-D|d|--nats=http://a":              `invalid server in --nats: unknown scheme "http", must be "nats", "tls", "ws", or "wss"`,
		"-D|d|--jobs=0":                     "--jobs must be in range 1..256",
		"-D|d|--jobs=x":                     `invalid value "x" for option --jobs`,
		"-D|d|--source=x":                   `invalid --source argument "x", must be "auto", "stream", or "files"`,
		"-D|d|--read=x":                     `invalid --read argument "x", must be "path", "pfs", or "sql"`,
		"-D|d|--codec=x":                    `invalid --codec argument "x", must be "lz4", "zstd", or "none"`,
		"-D|d|--node=x":                     `invalid --node argument "x", must be "none", "replica", "standby", or "primary"`,
		"-D|d|--local=x":                    `invalid --local argument "x", must be "full", "config", or "none"`,
		"-D|d|--incremental":                "option '--incremental' requires an argument",
		"-D|d|--stitch=3":                   "option '--stitch' doesn't allow an argument",
	} {
		_, err := parse(t, line)
		var e *cli.Error
		if !errors.As(err, &e) || e.Text != want {
			t.Errorf("%s:\n got %v\nwant %s", line, err, want)
		}
		var out, errs bytes.Buffer
		if _, err, done := Start(append([]string{"polar_basebackup"}, strings.Split(line, "|")...), &out, &errs); err == nil || !done {
			t.Errorf("%s: error %v, done %v", line, err, done)
		}
		if !strings.HasPrefix(errs.String(), "polar_basebackup: ") || out.Len() > 0 {
			t.Errorf("%s: printed %q %q", line, out.String(), errs.String())
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, arg := range []string{"--help", "-?"} {
		var out, errs bytes.Buffer
		if _, err, done := Start([]string{"/x/polar_basebackup", arg, "--nonsense"}, &out, &errs); err != nil || !done || errs.Len() > 0 {
			t.Errorf("%s: error %v, done %v, %s", arg, err, done, errs.String())
		}
		if !strings.HasPrefix(out.String(), "polar_basebackup takes a base backup") {
			t.Errorf("%s printed %q", arg, out.String())
		}
		for _, o := range table {
			if !strings.Contains(out.String(), "--"+o.Long) {
				t.Errorf("help does not tell of --%s", o.Long)
			}
		}
		if strings.Contains(out.String(), "%!") {
			t.Errorf("help: %s", out.String())
		}
	}
	var out bytes.Buffer
	Start([]string{"/x/pg_basebackup", "-V"}, &out, &out)
	if got, want := out.String(), "pg_basebackup (PostgreSQL) 18.0 (polarcast "+cli.Version; !strings.HasPrefix(got, want) {
		t.Errorf("version: %q", got)
	}
}

func TestFingerprint(t *testing.T) {
	t.Chdir(t.TempDir())
	base := mustParse(t, "-D|d|-d|host=h password='se\\' cret' user=u").Fingerprint()
	for _, same := range []string{
		"-D|./d/|-d|host=h password=other user=u", "-vP|-D|d|-d|host=h password='' user=u|--jobs=3|--report=x|-r|1M|-N|-n|-c|fast|-w|--nats=x|-s|3",
	} {
		if mustParse(t, same).Fingerprint() != base {
			t.Errorf("%s: another fingerprint", same)
		}
	}
	seen := map[string]string{}
	for _, line := range []string{
		"-D|d", "-D|e", "-D|d|-Ft", "-D|d|-Xf", "-D|d|-T|/a=/b", "-D|d|-h|x", "-D|d|-p|1", "-D|d|-l|x", "-D|d|--waldir=/x", "-D|d|-S|x", "-D|d|--no-slot",
		"-D|d|--no-manifest", "-D|d|--manifest-checksums=none", "-D|d|-R", "-D|d|-Z|server-lz4", "-D|d|-Z|server-lz4:3", "-D|d|-i|m", "-D|d|--polardata=x",
		"-D|d|--node=standby", "-D|d|--local=none", "-D|d|--source=files", "-D|d|--stitch", "-D|d|--no-verify-checksums",
		"-D|d|-d|postgres://u:secret@h/db", "-D|d|-d|postgres://u@h2/db", "-t|blackhole|-Xn", "-t|server:/x|-Xn",
	} {
		f := mustParse(t, line).Fingerprint()
		if other, ok := seen[f]; ok {
			t.Errorf("%s and %s have one fingerprint", line, other)
		}
		seen[f] = line
	}
	for _, uri := range []string{"postgres://u:secret@h/db?x=1&password=y", "postgres://u@h/db?x=1&password=z", "postgres://u:a@h/db?x=1&password="} {
		if got, want := withoutPassword(uri), "postgres://u@h/db?x=1&password="; got != want {
			t.Errorf("%s became %s", uri, got)
		}
	}
}
