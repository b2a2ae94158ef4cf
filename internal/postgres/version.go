package postgres

import (
	"fmt"
	"strconv"
	"strings"
)

// A server version is a number as in server_version_num: 150008 is 15.8, 110009 is 11.9.

// Versions that this package knows the rules of.
const (
	MinServerVersion = 110000
	MaxServerMajor   = 18
)

// Major is the major version, 15 for 150008.
func Major(serverVersion int) int { return serverVersion / 10000 }

// ParseServerVersion turns server_version ("15.8 (Debian 15.8-1)", "18beta1", "17devel") into a number.
func ParseServerVersion(s string) (int, error) {
	major, i := leadingInt(s)
	if i == 0 || major == 0 {
		return 0, fmt.Errorf("server version %q does not begin with a number", s)
	}
	minor := 0
	if rest := s[i:]; strings.HasPrefix(rest, ".") {
		minor, _ = leadingInt(rest[1:])
	}
	if major > 999 || minor > 9999 {
		return 0, fmt.Errorf("server version %q is out of range", s)
	}
	return major*10000 + minor, nil
}

func leadingInt(s string) (v, n int) {
	for n < len(s) && n < 9 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, _ = strconv.Atoi(s[:n])
	return v, n
}

// CheckServerVersion refuses servers older than 11, whose rules differ, and says what can be done. A newer major than MaxServerMajor is no error:
// the caller may warn.
func CheckServerVersion(serverVersion int) error {
	if serverVersion < MinServerVersion {
		return fmt.Errorf("server version %s is not supported: it must be 11 or newer", VersionString(serverVersion))
	}
	return nil
}

// VersionString is the short form of a version number, "15.8" for 150008 and "9.6.24" for 90624.
func VersionString(serverVersion int) string {
	if serverVersion < 100000 {
		return fmt.Sprintf("%d.%d.%d", serverVersion/10000, serverVersion/100%100, serverVersion%100)
	}
	return fmt.Sprintf("%d.%d", serverVersion/10000, serverVersion%10000)
}

// HasStandbySignal: recovery settings are ordinary settings, and signal files take recovery.conf's place (12).
func HasStandbySignal(v int) bool { return Major(v) >= 12 }

// HasManifest: BASE_BACKUP can send a backup manifest (13).
func HasManifest(v int) bool { return Major(v) >= 13 }

// HasOptionList: BASE_BACKUP and CREATE_REPLICATION_SLOT take options in parentheses (15).
func HasOptionList(v int) bool { return Major(v) >= 15 }

// HasSingleStream: BASE_BACKUP sends all archives in one copy with typed messages (15).
func HasSingleStream(v int) bool { return Major(v) >= 15 }

// HasServerTarget: BASE_BACKUP knows TARGET and COMPRESSION (15).
func HasServerTarget(v int) bool { return Major(v) >= 15 }

// HasReadSlot: READ_REPLICATION_SLOT exists (15).
func HasReadSlot(v int) bool { return Major(v) >= 15 }

// HasIncremental: UPLOAD_MANIFEST and BASE_BACKUP's INCREMENTAL exist (17).
func HasIncremental(v int) bool { return Major(v) >= 17 }

// HasWALSummaries: pg_wal has a directory summaries (17).
func HasWALSummaries(v int) bool { return Major(v) >= 17 }

// HasDatabaseWALLog: CREATE DATABASE can log blocks instead of copying files (15); see also WALDatabaseFileCopy.
func HasDatabaseWALLog(v int) bool { return Major(v) >= 15 }

// HasExclusiveBackup: pg_start_backup knows the exclusive mode, which is even its default (up to 14).
func HasExclusiveBackup(v int) bool { return Major(v) <= 14 }

// HasWideTwoPhaseNames: files in pg_twophase are named by the 64-bit transaction id, 16 hexadecimal digits (17).
func HasWideTwoPhaseNames(v int) bool { return Major(v) >= 17 }

// ManifestVersion is the version of the backup manifest that a server of version v writes, 0 when it has none.
func ManifestVersion(v int) int {
	switch m := Major(v); {
	case m < 13:
		return 0
	case m < 17:
		return 1
	}
	return 2
}

// BackupFunctions are the names of the functions that enter and leave backup mode (renamed in 15).
func BackupFunctions(v int) (start, stop string) {
	if HasExclusiveBackup(v) {
		return "pg_start_backup", "pg_stop_backup"
	}
	return "pg_backup_start", "pg_backup_stop"
}

// BackupStartSQL enters non-exclusive backup mode; $1 is the label, $2 asks for a fast checkpoint. Its one column is the start position.
func BackupStartSQL(v int) string {
	if HasExclusiveBackup(v) {
		return "SELECT pg_start_backup($1, $2, false)"
	}
	return "SELECT pg_backup_start($1, $2)"
}

// BackupStopSQL leaves backup mode; $1 asks the server to wait for its archive. Columns: lsn, labelfile, spcmapfile.
func BackupStopSQL(v int) string {
	if HasExclusiveBackup(v) {
		return "SELECT lsn, labelfile, spcmapfile FROM pg_stop_backup(false, $1)"
	}
	return "SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop($1)"
}

// WALDirectories are the directories of write-ahead log, parents first: a backup has them empty. All versions since 10 say pg_wal.
func WALDirectories(v int) []string {
	dirs := []string{"pg_wal", "pg_wal/archive_status"}
	if HasWALSummaries(v) {
		dirs = append(dirs, "pg_wal/summaries")
	}
	return dirs
}
