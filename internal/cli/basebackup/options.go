package basebackup

import (
	"time"

	"polarcast/internal/cli"
)

// Action is what the command line asks for.
type Action int

const (
	Run Action = iota
	Help
	Version
)

// Formats of the output.
const (
	Plain = "plain"
	Tar   = "tar"
)

// Password says when a password is asked for.
type Password int

const (
	PasswordAuto  Password = 0  // when the server wants one
	PasswordNever Password = -1 // -w
	PasswordForce Password = 1  // -W
)

// Mapping moves a tablespace from Old, its path on the server, to New.
type Mapping struct{ Old, New string }

// Setting is one NAME=VALUE of --set.
type Setting struct{ Name, Value string }

// Options is a command line that has passed all checks that need no server.
type Options struct {
	Argv0, ProgName string
	Action          Action

	// Output
	Directory         string    // -D as given; "-" with Format Tar is standard output; empty with a Target
	Format            string    // Plain or Tar
	Incremental       string    // -i: path of the manifest of the previous backup; empty for a full one
	MaxRate           int       // -r in kB/s; 0 for no limit
	WriteRecoveryConf bool      // -R
	Target            string    // -t without its detail: "server", "blackhole"…; empty for this client
	TargetDetail      string    // what followed the colon in -t
	HasTargetDetail   bool      // there was a colon
	Tablespaces       []Mapping // -T, in order
	WALDir            string    // --waldir, absolute and clean; empty for pg_wal inside of the directory
	WALMethod         string    // -X: "none", "fetch" or "stream"
	Compression       Compression

	// General
	FastCheckpoint      bool   // -c fast
	CreateSlot          bool   // -C
	Slot                string // -S
	NoSlot              bool   // --no-slot
	Label               string // -l
	NoClean             bool   // -n
	NoSync              bool   // -N
	SyncMethod          string // "fsync" or "syncfs"
	Progress            bool   // -P
	Verbose             int    // how often -v was given
	ManifestChecksums   string // as given; empty for the server's default
	ManifestForceEncode bool
	NoEstimateSize      bool
	NoManifest          bool
	NoVerifyChecksums   bool

	// Connection
	ConnString     string // -d
	Host           string // -h
	Port           string // -p
	User           string // -U
	Password       Password
	StatusInterval time.Duration // -s; 0 for none

	// PolarDB's shared storage
	PolarData     string // --polardata; empty for <directory>/polar_shared_data
	PolarDiskName string // --polar_disk_name or --polar_disk_home: the PBD; empty for a plain directory
	PolarHostID   int    // --polar_host_id, 1..254: to mount the disk, and polar_hostid of a node; 0 when not given
	PolarCluster  string // --polar_storage_cluster_name; empty for the SDK's default
	PFSDLibrary   string // --pfsd-lib; empty to look for it
	ForceMount    bool   // --force-mount

	// The pipeline
	NATS    cli.NATSFlags // no URLs and no context: embedded server
	Source  string        // "auto", "stream" or "files"
	Read    string        // "path", "pfs" or "sql" for files; empty to choose
	Jobs    int           // workers; 0 to choose
	Codec   string        // "lz4", "zstd" or "none" in the pipeline
	Stitch  bool
	Resume  bool // an interrupted backup is continued (default)
	Delta   bool // an old copy in the directory is brought up to date
	Report  string
	NodeIs  string // --node: "none", "replica", "standby" or "primary"
	Set     []Setting
	Start   bool
	LocalIs string // --local: "full", "config" or "none"
}

// Stdout says whether the backup goes to standard output.
func (o *Options) Stdout() bool { return o.Format == Tar && o.Directory == "-" }

// TemporarySlot says whether WAL streaming uses a slot that lives as long as its
// connection.
func (o *Options) TemporarySlot() bool {
	return o.WALMethod == "stream" && o.Slot == "" && !o.NoSlot
}

// Manifest is the value of BASE_BACKUP's MANIFEST option: "yes", "no" or
// "force-encode".
func (o *Options) Manifest() string {
	switch {
	case o.NoManifest:
		return "no"
	case o.ManifestForceEncode:
		return "force-encode"
	}
	return "yes"
}

func defaults(argv0 string) *Options {
	return &Options{
		Argv0: argv0, ProgName: cli.ProgName(argv0),
		WALMethod:      "stream",
		Label:          "pg_basebackup base backup",
		SyncMethod:     "fsync",
		StatusInterval: 10 * time.Second,
		Source:         "auto",
		Codec:          "lz4",
		Resume:         true,
		NodeIs:         "none",
		LocalIs:        "full",
		Compression:    Compression{Method: "none"},
	}
}
