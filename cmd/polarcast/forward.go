package main

import (
	"strings"

	"github.com/spf13/pflag"

	"polarcast/internal/cli/basebackup"
)

// An option of pg_basebackup keeps its name, its letter and its checks: it is handed on to the package that reads pg_basebackup's command line.
type forwarded struct {
	long  string
	short string
	arg   string // what its value is called in the help; "" for an option without one
	help  string
	many  bool
}

// Connection options, as every PostgreSQL program has them.
var connectionOptions = []forwarded{
	{"dbname", "d", "CONNSTR", "connection string", false},
	{"host", "h", "HOSTNAME", "database server host or socket directory", false},
	{"port", "p", "PORT", "database server port number", false},
	{"username", "U", "NAME", "connect as specified database user", false},
	{"no-password", "w", "", "never prompt for password", false},
	{"password", "W", "", "force password prompt (should happen automatically)", false},
}

// backupOptions say how the source is read; they belong to the process with the checkpoint stage.
var backupOptions = []forwarded{
	{"checkpoint", "c", "fast|spread", "set fast or spread (default) checkpointing", false},
	{"label", "l", "LABEL", "set backup label", false},
	{"wal-method", "X", "none|fetch|stream", "include required WAL files with specified method (default stream)", false},
	{"max-rate", "r", "RATE", "maximum transfer rate, kept by the server (in kB/s, or use suffix \"k\" or \"M\")", false},
	{"slot", "S", "SLOTNAME", "replication slot to use (default: one of the backup's own, which goes away with it)", false},
	{"create-slot", "C", "", "create that replication slot", false},
	{"no-slot", "", "", "use no replication slot", false},
	{"manifest-checksums", "", "ALGORITHM", "NONE, CRC32C, SHA224, SHA256, SHA384 or SHA512 for manifest checksums", false},
	{"manifest-force-encode", "", "", "hex encode all file names in manifest", false},
	{"no-manifest", "", "", "suppress generation of backup manifest", false},
	{"no-verify-checksums", "", "", "do not verify checksums", false},
	{"source", "", "auto|stream|files", "read one stream of the server, or its files", false},
	{"read", "", "path|pfs|sql", "way of reading files (implies --source=files)", false},
	{"local", "", "full|config|none", "PolarDB: how much of the local tree is sent: all (default), what a node cannot do without, nothing", false},
	{"codec", "", "lz4|zstd|none", "compress on the way from source to target (default lz4)", false},
	{"stitch", "", "", "after a lost session go on without reading again (implies --source=files)", false},
	{"delta", "", "", "wait for what the targets hold already, and send only what one of them lacks", false},
}

// readOptions are of the processes that read.
var readOptions = []forwarded{{"jobs", "", "NUM", "read, or compress, with so many workers", false}}

// diskOptions say how a PolarDB's disk is mounted where its files are read through PFS.
var diskOptions = []forwarded{
	{"polar_host_id", "", "HOST_ID", "with --read=pfs: host id for mounting the server's disk, not that of a node (1 to 254)", false},
	{"polar_storage_cluster_name", "", "CLUSTER", "with --read=pfs: PFS cluster of that disk (default: as the server says)", false},
	{"pfsd-lib", "", "FILE", "with --read=pfs: libpfsd to load (default: look in the usual places)", false},
}

var walOptions = []forwarded{{"status-interval", "s", "INTERVAL", "time between status packets sent to server (in seconds)", false}}

// outputOptions say where a target is.
var outputOptions = []forwarded{
	{"pgdata", "D", "DIRECTORY", "receive base backup into directory", false},
	{"format", "F", "p|t", "output format (plain (default), tar)", false},
	{"tablespace-mapping", "T", "OLDDIR=NEWDIR", "relocate tablespace in OLDDIR to NEWDIR (repeatable)", true},
	{"waldir", "", "WALDIR", "location for the write-ahead log directory", false},
	{"gzip", "z", "", "compress tar output", false},
	{"compress", "Z", "METHOD[:DETAIL]", "compress tar output", false},
	{"no-sync", "N", "", "do not wait for changes to be written safely to disk", false},
	{"sync-method", "", "METHOD", "set method for syncing files to disk (fsync or syncfs)", false},
	{"polardata", "", "DATADIR", "PolarDB: receive shared data into directory (default: polar_shared_data in the directory)", false},
	{"polar_disk_name", "", "DISK", "PolarDB: PFS disk that the directory of --polardata is on", false},
	{"polar_disk_home", "", "DISK", "the same as --polar_disk_name", false},
	{"polar_host_id", "", "HOST_ID", "PolarDB: host id for mounting that disk (1 to 254)", false},
	{"polar_storage_cluster_name", "", "CLUSTER", "PolarDB: PFS cluster of that disk", false},
	{"pfsd-lib", "", "FILE", "libpfsd to load (default: look in the usual places)", false},
	{"force-mount", "", "", "mount the disk although it is not known to be unused", false},
	{"delta", "", "", "bring an old copy in the directory up to date (with \"polarcast send --delta\")", false},
}

// storageOptions are of a process that only writes.
var storageOptions = []forwarded{
	{"node", "", "KIND", "what \"stage node\" makes of the target: a replica gets no shared data", false},
}

// nodeOptions say what a target becomes.
var nodeOptions = []forwarded{
	{"write-recovery-conf", "R", "", "write configuration for replication", false},
	{"slot", "S", "SLOTNAME", "replication slot that the new node uses", false},
	{"create-slot", "C", "", "create that replication slot on the server of the connection options, before anything is written", false},
	{"node", "", "KIND", "configure the target as a node: replica, standby, primary or none", false},
	{"set", "", "NAME=VALUE", "set a parameter in the node's configuration (repeatable)", true},
	{"start", "", "", "start the node, and wait until it streams", false},
}

// text is the value of an option; kind is what the help calls it.
type text struct{ value, kind string }

func (t *text) String() string     { return t.value }
func (t *text) Set(s string) error { t.value = s; return nil }
func (t *text) Type() string       { return t.kind }

// texts are the values of an option that may be repeated.
type texts struct {
	values []string
	kind   string
}

var _ pflag.SliceValue = (*texts)(nil)

func (t *texts) String() string             { return strings.Join(t.values, " ") }
func (t *texts) Set(s string) error         { return t.Append(s) }
func (t *texts) Type() string               { return t.kind }
func (t *texts) Append(s string) error      { t.values = append(t.values, s); return nil }
func (t *texts) Replace(all []string) error { t.values = all; return nil }
func (t *texts) GetSlice() []string         { return t.values }

// forward adds options to a command and returns what reads them: the options as pg_basebackup's own command line would give them. extra stands
// in front, for what the command itself decides.
func forward(fs *pflag.FlagSet, groups ...[]forwarded) func(name string, extra ...string) (*basebackup.Options, error) {
	var all []forwarded
	for _, g := range groups {
		all = append(all, g...)
	}
	for _, f := range all {
		switch {
		case f.many:
			fs.VarP(&texts{kind: f.arg}, f.long, f.short, f.help)
		case f.arg == "":
			fs.BoolP(f.long, f.short, false, f.help)
		default:
			fs.VarP(&text{kind: f.arg}, f.long, f.short, f.help)
		}
	}
	return func(name string, extra ...string) (*basebackup.Options, error) {
		args := append([]string{"polarcast " + name}, extra...)
		for _, f := range all {
			fl := fs.Lookup(f.long)
			switch {
			case !fl.Changed:
			case f.many:
				for _, v := range fl.Value.(*texts).values {
					args = append(args, "--"+f.long+"="+v)
				}
			case f.arg != "":
				args = append(args, "--"+f.long+"="+fl.Value.String())
			case fl.Value.String() == "true":
				args = append(args, "--"+f.long)
			}
		}
		return basebackup.Parse(args)
	}
}

// given says whether one of the options was set, by whichever way.
func given(fs *pflag.FlagSet, options []forwarded) bool {
	for _, f := range options {
		if fl := fs.Lookup(f.long); fl != nil && fl.Changed {
			return true
		}
	}
	return false
}

// targetsOf takes several --target, or one with commas.
func targetsOf(values []string) []string {
	var all []string
	for _, v := range values {
		all = append(all, strings.Split(v, ",")...)
	}
	return all
}
