package basebackup

import "polarcast/internal/cli"

// Tiers of options. An abbreviation that was unambiguous in pg_basebackup stays
// so, whatever PolarDB and this program added.
const (
	tierPostgres = iota
	tierPolar
	tierOurs
)

// table lists the options in the order of the original, which is the order in
// which an ambiguous abbreviation names its possibilities.
var table = []cli.Option{
	{Long: "help", Key: "help"},
	{Long: "version", Key: "version"},
	{Long: "pgdata", Short: 'D', Arg: true, Key: "pgdata"},
	{Long: "format", Short: 'F', Arg: true, Key: "format"},
	{Long: "incremental", Short: 'i', Arg: true, Key: "incremental"},
	{Long: "checkpoint", Short: 'c', Arg: true, Key: "checkpoint"},
	{Long: "create-slot", Short: 'C', Key: "create-slot"},
	{Long: "max-rate", Short: 'r', Arg: true, Key: "max-rate"},
	{Long: "write-recovery-conf", Short: 'R', Key: "write-recovery-conf"},
	{Long: "slot", Short: 'S', Arg: true, Key: "slot"},
	{Long: "target", Short: 't', Arg: true, Key: "target"},
	{Long: "tablespace-mapping", Short: 'T', Arg: true, Key: "tablespace-mapping"},
	{Long: "wal-method", Short: 'X', Arg: true, Key: "wal-method"},
	{Long: "gzip", Short: 'z', Key: "gzip"},
	{Long: "compress", Short: 'Z', Arg: true, Key: "compress"},
	{Long: "label", Short: 'l', Arg: true, Key: "label"},
	{Long: "no-clean", Short: 'n', Key: "no-clean"},
	{Long: "no-sync", Short: 'N', Key: "no-sync"},
	{Long: "dbname", Short: 'd', Arg: true, Key: "dbname"},
	{Long: "host", Short: 'h', Arg: true, Key: "host"},
	{Long: "port", Short: 'p', Arg: true, Key: "port"},
	{Long: "username", Short: 'U', Arg: true, Key: "username"},
	{Long: "no-password", Short: 'w', Key: "no-password"},
	{Long: "password", Short: 'W', Key: "password"},
	{Long: "status-interval", Short: 's', Arg: true, Key: "status-interval"},
	{Long: "verbose", Short: 'v', Key: "verbose"},
	{Long: "progress", Short: 'P', Key: "progress"},
	{Long: "waldir", Arg: true, Key: "waldir"},
	{Long: "no-slot", Key: "no-slot"},
	{Long: "no-verify-checksums", Key: "no-verify-checksums"},
	{Long: "no-estimate-size", Key: "no-estimate-size"},
	{Long: "no-manifest", Key: "no-manifest"},
	{Long: "manifest-force-encode", Key: "manifest-force-encode"},
	{Long: "manifest-checksums", Arg: true, Key: "manifest-checksums"},
	{Long: "sync-method", Arg: true, Key: "sync-method"},

	{Long: "polardata", Arg: true, Key: "polardata", Tier: tierPolar},
	{Long: "polar_disk_name", Arg: true, Key: "polar_disk_name", Tier: tierPolar},
	// The name that the originals' help and PolarDB's guide give to it.
	{Long: "polar_disk_home", Arg: true, Key: "polar_disk_name", Tier: tierPolar},
	{Long: "polar_host_id", Arg: true, Key: "polar_host_id", Tier: tierPolar},
	{Long: "polar_storage_cluster_name", Arg: true, Key: "polar_storage_cluster_name", Tier: tierPolar},

	{Long: "nats", Arg: true, Key: "nats", Tier: tierOurs},
	{Long: "nats-context", Arg: true, Key: "nats-context", Tier: tierOurs},
	{Long: "creds", Arg: true, Key: "creds", Tier: tierOurs},
	{Long: "tls-ca", Arg: true, Key: "tls-ca", Tier: tierOurs},
	{Long: "tls-cert", Arg: true, Key: "tls-cert", Tier: tierOurs},
	{Long: "tls-key", Arg: true, Key: "tls-key", Tier: tierOurs},
	{Long: "source", Arg: true, Key: "source", Tier: tierOurs},
	{Long: "read", Arg: true, Key: "read", Tier: tierOurs},
	{Long: "jobs", Arg: true, Key: "jobs", Tier: tierOurs},
	{Long: "codec", Arg: true, Key: "codec", Tier: tierOurs},
	{Long: "stitch", Key: "stitch", Tier: tierOurs},
	{Long: "resume", Key: "resume", Tier: tierOurs},
	{Long: "no-resume", Key: "no-resume", Tier: tierOurs},
	{Long: "delta", Key: "delta", Tier: tierOurs},
	{Long: "report", Arg: true, Key: "report", Tier: tierOurs},
	{Long: "node", Arg: true, Key: "node", Tier: tierOurs},
	{Long: "set", Arg: true, Key: "set", Tier: tierOurs},
	{Long: "start", Key: "start", Tier: tierOurs},
	{Long: "local", Arg: true, Key: "local", Tier: tierOurs},
	{Long: "pfsd-lib", Arg: true, Key: "pfsd-lib", Tier: tierOurs},
	{Long: "force-mount", Key: "force-mount", Tier: tierOurs},
}
