package postgres

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Decision is what a base backup does with a path.
type Decision uint8

const (
	// Copy the file, or the directory and what is in it.
	Copy Decision = iota
	// CopyEmpty: a directory that is kept, with its permissions, but without its contents.
	CopyEmpty
	// CopyLast: the control file, which is copied after everything else.
	CopyLast
	// Skip it.
	Skip
)

// Excludes decides which paths of a data directory belong to a base backup, by the lists in basebackup.c of the server's version.
type Excludes struct {
	version  int
	polar    bool
	shared   bool
	logDir   string // empty unless it is left out
	statsDir string
	files    map[string]bool
	dirs     map[string]bool
}

// ExcludeOptions carry what the lists depend on besides the version.
type ExcludeOptions struct {
	ServerVersion int
	// Polar: the server is PolarDB, for both of its trees.
	Polar bool
	// SharedStorage: it is in shared-storage mode. Unlogged relations are then copied in full, as the server itself does: it looks for their init
	// forks by a path that only its own file system understands.
	SharedStorage bool
	// LogDirectory is the setting log_directory when it is relative; PolarDB 11 leaves it out.
	LogDirectory string
	// StatsTempDirectory is stats_temp_directory (up to 14) relative to the data directory, empty when it is the default or outside.
	StatsTempDirectory string
}

// NewExcludes makes the lists.
func NewExcludes(o ExcludeOptions) *Excludes {
	e := &Excludes{version: o.ServerVersion, polar: o.Polar, shared: o.SharedStorage, files: map[string]bool{}, dirs: map[string]bool{}}
	e.logDir, e.statsDir = relativeDir(o.LogDirectory), relativeDir(o.StatsTempDirectory)
	for _, name := range []string{"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans"} {
		e.dirs[name] = true
	}
	for _, name := range []string{AutoConfFile + ".tmp", "current_logfiles.tmp", BackupLabelFile, TablespaceMapFile, "postmaster.pid", "postmaster.opts", ".DS_Store"} {
		e.files[name] = true
	}
	if HasManifest(o.ServerVersion) {
		e.files[ManifestFileName] = true
	}
	if o.Polar {
		e.dirs["pg_logindex"] = true
		e.files["polar_node_static.conf"] = true
		if Major(o.ServerVersion) >= 15 {
			e.files["polar_settings.conf.tmp"] = true
			e.files["recovery.done"] = true
			e.files["pgss_query_texts.stat"] = true
		}
	}
	return e
}

// Decide says what to do with path, relative to the data directory. isDir is false for everything that is no directory; for a symbolic link to a directory
// (pg_wal, or one of the excluded ones) pass true. exists is asked whether another path exists, to tell unlogged relations by their
// init fork; it may be nil when that does not matter. Parents are not looked at: do not descend into what is not Copy.
func (e *Excludes) Decide(path string, isDir bool, exists func(path string) bool) Decision {
	dir, name := cutLast(path)
	switch {
	case path == ControlFilePath:
		return CopyLast
	case strings.HasPrefix(name, "pgsql_tmp"), strings.HasPrefix(name, "pg_internal.init"), e.files[name], e.polar && e.skipPolar11(path):
		return Skip
	case isDir && (e.dirs[name] || path == "pg_wal" || e.statsDir != "" && path == e.statsDir):
		return CopyEmpty
	}
	if isDir {
		return Copy
	}
	where, ok := parseRelationDir(dir)
	if !ok {
		return Copy
	}
	if where.database != 0 && IsTempRelationName(name) {
		return Skip
	}
	if node, fork, _, ok := ParseRelationName(name); ok && fork != InitFork && !e.shared && exists != nil && exists(fmt.Sprintf("%s/%d_init", dir, node)) {
		return Skip
	}
	return Copy
}

// skipPolar11 lists whole paths that PolarDB 11 leaves out for secrecy (sendDir in its basebackup.c).
func (e *Excludes) skipPolar11(path string) bool {
	if Major(e.version) != 11 {
		return false
	}
	switch path {
	case "recovery.done", "pg_stat/pg_stat_statements.stat", "pg_stat_tmp/pgss_query_texts.stat":
		return true
	}
	return e.logDir != "" && path == e.logDir
}

// relativeDir cleans a directory of a setting; it is empty for one that is absolute or lies outside the data directory.
func relativeDir(dir string) string {
	if dir == "" || !filepath.IsLocal(dir) {
		return ""
	}
	return filepath.ToSlash(filepath.Clean(dir))
}

// EmptyDirectories are directories that a base backup has although a listing may not show them: a backup holds them empty.
func (e *Excludes) EmptyDirectories() []string { return WALDirectories(e.version) }
