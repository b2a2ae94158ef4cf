package postgres

import (
	"bytes"
	"strings"
)

// Names of the files that make a server recover, stream or keep its settings.
const (
	AutoConfFile       = "postgresql.auto.conf"
	ConfFileName       = "postgresql.conf"
	RecoveryConfFile   = "recovery.conf"   // up to 11
	StandbySignalFile  = "standby.signal"  // since 12
	RecoverySignalFile = "recovery.signal" // since 12
	ReplicaSignalFile  = "replica.signal"  // PolarDB 15: shares the primary's storage
)

// ConnParam is one connection option as libpq spells it, "host" and "10.0.0.1".
type ConnParam struct{ Keyword, Value string }

// RecoveryConfig is what pg_basebackup -R writes (GenerateRecoveryConfig in recoveryconf.c, since 17 recovery_gen.c): for 11 the whole
// recovery.conf, else the lines that are appended to postgresql.auto.conf. params are the options of the connection in libpq's order;
// replication, dbname, fallback_application_name and empty ones are left out. dbname is written only from 17 on, where the slot
// synchronization uses it; pass the one that the user gave, or an empty one. slot may be empty.
func RecoveryConfig(serverVersion int, params []ConnParam, dbname, slot string) []byte {
	var b bytes.Buffer
	if !HasStandbySignal(serverVersion) {
		b.WriteString("standby_mode = 'on'\n")
	}
	b.WriteString("primary_conninfo = '")
	b.WriteString(escapeConfQuotes(PrimaryConnInfo(serverVersion, params, dbname)))
	b.WriteString("'\n")
	if slot != "" {
		b.WriteString("primary_slot_name = '" + slot + "'\n")
	}
	return b.Bytes()
}

// PrimaryConnInfo is the value of primary_conninfo that RecoveryConfig writes, not yet quoted for a configuration file.
func PrimaryConnInfo(serverVersion int, params []ConnParam, dbname string) string {
	var parts []string
	for _, p := range params {
		switch p.Keyword {
		case "replication", "dbname", "fallback_application_name":
			continue
		}
		if p.Value != "" {
			parts = append(parts, p.Keyword+"="+QuoteConnValue(p.Value))
		}
	}
	if dbname != "" && Major(serverVersion) >= 17 {
		parts = append(parts, "dbname="+QuoteConnValue(dbname))
	}
	return strings.Join(parts, " ")
}

// RecoveryConfigFile says where RecoveryConfig's text goes: the name of the file, whether it is appended to what is there, and the
// signal file to make beside it (none for 11).
func RecoveryConfigFile(serverVersion int) (name string, appended bool, signal string) {
	if HasStandbySignal(serverVersion) {
		return AutoConfFile, true, StandbySignalFile
	}
	return RecoveryConfFile, false, ""
}

// QuoteConnValue quotes a value inside a connection string when needed (appendConnStrVal in string_utils.c).
func QuoteConnValue(v string) string {
	plain := v != ""
	for i := 0; i < len(v) && plain; i++ {
		c := v[i]
		plain = isASCIILetter(c) || c >= '0' && c <= '9' || c == '_' || c == '.'
	}
	if plain {
		return v
	}
	var b strings.Builder
	b.WriteByte('\'')
	for i := 0; i < len(v); i++ {
		if v[i] == '\'' || v[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(v[i])
	}
	b.WriteByte('\'')
	return b.String()
}

// escapeConfQuotes is escape_single_quotes_ascii: quotes and backslashes doubled.
func escapeConfQuotes(v string) string {
	return strings.NewReplacer("'", "''", `\`, `\\`).Replace(v)
}
