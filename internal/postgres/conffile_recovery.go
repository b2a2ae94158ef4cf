package postgres

import "strings"

// Names of the files that make a server recover, stream or keep its settings.
const (
	AutoConfFile       = "postgresql.auto.conf"
	ConfFileName       = "postgresql.conf"
	RecoveryConfFile   = "recovery.conf"   // up to 11
	StandbySignalFile  = "standby.signal"  // since 12
	RecoverySignalFile = "recovery.signal" // since 12
	ReplicaSignalFile  = "replica.signal"  // PolarDB 15: shares the primary's storage
)

// RecoveryConfig is what pg_basebackup -R writes (GenerateRecoveryConfig in recoveryconf.c, since 17 recovery_gen.c): for 11 the whole
// recovery.conf, else the lines that are appended to postgresql.auto.conf. conninfo is a connection string as Config.PrimaryConnInfo makes it, and
// slot may be empty.
func RecoveryConfig(serverVersion int, conninfo, slot string) string {
	s := ""
	if !HasStandbySignal(serverVersion) {
		s = "standby_mode = 'on'\n"
	}
	s += "primary_conninfo = '" + escapeConfQuotes(conninfo) + "'\n"
	if slot != "" {
		s += "primary_slot_name = '" + slot + "'\n"
	}
	return s
}

// RecoveryConfigFile says where RecoveryConfig's text goes: the name of the file, whether it is appended to what is there, and the
// signal file to make beside it (none for 11).
func RecoveryConfigFile(serverVersion int) (name string, appended bool, signal string) {
	if HasStandbySignal(serverVersion) {
		return AutoConfFile, true, StandbySignalFile
	}
	return RecoveryConfFile, false, ""
}

// escapeConfQuotes is escape_single_quotes_ascii: quotes and backslashes doubled.
func escapeConfQuotes(v string) string {
	return strings.NewReplacer("'", "''", `\`, `\\`).Replace(v)
}
