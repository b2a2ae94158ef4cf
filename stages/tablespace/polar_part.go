package tablespace

import (
	"path"
	"regexp"
	"strings"

	"polarcast/messages"
)

// How much of PolarDB's local tree is taken (messages.BackupOptions.Local).
const (
	LocalFull   = ""
	LocalConfig = "config"
	LocalNone   = "none"
)

// skeleton are the directories that a node of PolarDB 11 and 15 needs in its local tree beside one below base for each database. A server
// starts from these, the configuration and the label; it makes all other directories itself. Without pg_logical/snapshots its first
// checkpoint fails.
var skeleton = []string{
	"base", "global", "pg_dynshmem", "pg_logical", "pg_logical/mappings", "pg_logical/snapshots", "pg_notify", "pg_replslot", "pg_serial",
	"pg_snapshots", "pg_stat", "pg_stat_tmp", "pg_subtrans", "pg_tblspc",
}

// part says which files of a PolarDB source in shared-storage mode are taken. The zero value takes all.
type part struct {
	local    string // LocalFull, LocalConfig or LocalNone
	noShared bool   // the node shares the source's storage: the shared tree is left out, and the label with it
}

func newPart(o messages.BackupOptions) part { return part{local: o.Local, noShared: o.NoShared} }

// recovery are the files that say where recovery begins.
var recovery = map[string]bool{"backup_label": true, "tablespace_map": true}

// secrets are the names of keys and certificates that a configuration refers to.
var secrets = regexp.MustCompile(`\.(crt|key|pem|crl)$`)

// databaseDir is the directory of one database: a node needs an empty one in its local tree.
var databaseDir = regexp.MustCompile(`^base/[0-9]+$`)

// keep reports whether a file or link of the local tree is taken.
func (p part) keep(name string) bool {
	if recovery[name] {
		return !p.noShared
	}
	switch p.local {
	case LocalNone:
		return false
	case LocalConfig:
		return name == "PG_VERSION" || strings.HasSuffix(name, ".conf") || secrets.MatchString(name) || path.Dir(name) == "pg_tblspc"
	}
	return true
}

// keepDir reports whether a directory of the local tree is taken.
func (p part) keepDir(name string) bool {
	if p.local == LocalFull {
		return true
	}
	return p.local == LocalConfig && databaseDir.MatchString(name)
}

// statusFile matches the name of a segment's or a history file's archive status, wherever the server says that it is.
var statusFile = regexp.MustCompile(`(?:^|/)(pg_wal/archive_status/[0-9A-F]{8}(?:[0-9A-F]{16}(?:\.[0-9A-F]{8}\.backup)?|\.history)\.(?:done|ready))$`)

// statusName gives the archive status of fetched WAL the name that it has below the data directory. PolarDB 15 names it by its place on the
// source: file-dio:///shared/pg_wal/archive_status/….done, or an absolute path on PFS (StatusFilePath in perform_base_backup).
func statusName(name string) (string, bool) {
	m := statusFile.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return m[1], true
}
