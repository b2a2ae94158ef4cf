package basebackup

import (
	"fmt"

	"polarcast/internal/cli"
)

// help is the text of --help; %s stands for the program's name. Layout and
// wording of the originals' options are those of pg_basebackup 18 and
// polar_basebackup 15.
const help = `%[1]s takes a base backup of a running PostgreSQL or PolarDB server.

Usage:
  %[1]s [OPTION]...

Options controlling the output:
  -D, --pgdata=DIRECTORY receive base backup into directory
  -F, --format=p|t       output format (plain (default), tar)
  -i, --incremental=OLDMANIFEST
                         take incremental backup
  -r, --max-rate=RATE    maximum transfer rate to transfer data directory
                         (in kB/s, or use suffix "k" or "M")
  -R, --write-recovery-conf
                         write configuration for replication
  -t, --target=TARGET[:DETAIL]
                         backup target (if other than client)
  -T, --tablespace-mapping=OLDDIR=NEWDIR
                         relocate tablespace in OLDDIR to NEWDIR
      --waldir=WALDIR    location for the write-ahead log directory
  -X, --wal-method=none|fetch|stream
                         include required WAL files with specified method
  -z, --gzip             compress tar output
  -Z, --compress=[{client|server}-]METHOD[:DETAIL]
                         compress on client or server as specified
  -Z, --compress=none    do not compress tar output

General options:
  -c, --checkpoint=fast|spread
                         set fast or spread (default) checkpointing
  -C, --create-slot      create replication slot
  -l, --label=LABEL      set backup label
  -n, --no-clean         do not clean up after errors
  -N, --no-sync          do not wait for changes to be written safely to disk
  -P, --progress         show progress information
  -S, --slot=SLOTNAME    replication slot to use
  -v, --verbose          output verbose messages
  -V, --version          output version information, then exit
      --manifest-checksums=SHA{224,256,384,512}|CRC32C|NONE
                         use algorithm for manifest checksums
      --manifest-force-encode
                         hex encode all file names in manifest
      --no-estimate-size do not estimate backup size in server side
      --no-manifest      suppress generation of backup manifest
      --no-slot          prevent creation of temporary replication slot
      --no-verify-checksums
                         do not verify checksums
      --sync-method=METHOD
                         set method for syncing files to disk
  -?, --help             show this help, then exit

Connection options:
  -d, --dbname=CONNSTR   connection string
  -h, --host=HOSTNAME    database server host or socket directory
  -p, --port=PORT        database server port number
  -s, --status-interval=INTERVAL
                         time between status packets sent to server (in seconds)
  -U, --username=NAME    connect as specified database user
  -w, --no-password      never prompt for password
  -W, --password         force password prompt (should happen automatically)

PolarDB shared storage options:
      --polardata=DATADIR
                         receive shared data into directory
                         (default: polar_shared_data in the output directory)
      --polar_disk_name=DISK, --polar_disk_home=DISK
                         PFS disk that the directory of --polardata is on
      --polar_host_id=HOST_ID
                         host id for mounting that disk, or the server's
                         with --read=pfs (1 to 254)
      --polar_storage_cluster_name=CLUSTER
                         PFS cluster of that disk
      --pfsd-lib=FILE    libpfsd to load (default: look in the usual places)
      --force-mount      mount the disk although it is not known to be unused

Options for reading and resuming:
      --source=auto|stream|files
                         read one stream of the server, or its files
      --read=path|pfs|sql
                         way of reading files (implies --source=files)
      --jobs=NUM         read files with so many workers
      --codec=lz4|zstd|none
                         compress on the way through --nats or with --stitch
                         (default lz4)
      --resume           continue an interrupted backup (default)
      --no-resume        clean up after errors, and always start anew
      --stitch           after a lost session go on without reading again
                         (implies --source=files)
      --delta            bring an old copy in the directory up to date: send
                         and write only what differs
      --report=FILE      write a JSON summary when the backup ends

Options for making a node:
      --node=none|replica|standby|primary
                         configure the backup as a node of this kind
      --set=NAME=VALUE   set a parameter in the node's configuration (repeatable)
      --start            start the node, and wait until it streams
      --local=full|config|none
                         PolarDB: how much of the local directory to receive

NATS options:
      --nats=URL[,URL...]
                         use these NATS servers instead of an embedded one
      --nats-context=NAME
                         use a context of the nats command
      --creds=FILE       NATS credentials
      --tls-ca=FILE      authorities to trust for TLS to NATS
      --tls-cert=FILE    client certificate for TLS to NATS
      --tls-key=FILE     its key

Exit status is 0 for a complete backup, else 1.
`

// HelpText is the output of --help for a program of that name.
func HelpText(prog string) string {
	return fmt.Sprintf(help, prog)
}

// VersionText is the output of --version. It begins as the original's does,
// because tools read "(PostgreSQL) MAJOR" to learn which options they may use,
// and names this program where distributions name themselves.
func VersionText(prog string) string {
	return fmt.Sprintf("%s (PostgreSQL) 18.0 (polarcast %s, compatible with pg_basebackup 11 to 18 and polar_basebackup 11 and 15)\n",
		prog, cli.Version)
}
