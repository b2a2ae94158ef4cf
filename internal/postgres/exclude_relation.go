package postgres

import "strings"

// Fork is one of the files of a relation (ForkNumber).
type Fork uint8

// The forks.
const (
	MainFork Fork = iota
	FreeSpaceFork
	VisibilityFork
	InitFork
)

var forkSuffixes = [...]string{MainFork: "", FreeSpaceFork: "_fsm", VisibilityFork: "_vm", InitFork: "_init"}

// String is the suffix in file names, empty for the main fork.
func (f Fork) String() string {
	if int(f) < len(forkSuffixes) {
		return forkSuffixes[f]
	}
	return "_unknown"
}

// RelationFile names a file of a relation that is not temporary. Tablespace is 0 for pg_default (base) and pg_global (global), Database is 0 in global.
type RelationFile struct {
	Tablespace, Database, Node uint32
	Fork                       Fork
	Segment                    uint32
}

// ParseRelationName reads the name of a relation file, "16384", "16384_vm", "16384.1" (parse_filename_for_nontemp_relation in reinit.c).
func ParseRelationName(name string) (node uint32, fork Fork, segment uint32, ok bool) {
	node, rest, ok := cutNumber(name)
	if !ok {
		return 0, 0, 0, false
	}
	for f := InitFork; f > MainFork; f-- {
		if tail, found := strings.CutPrefix(rest, forkSuffixes[f]); found {
			fork, rest = f, tail
			break
		}
	}
	if tail, found := strings.CutPrefix(rest, "."); found {
		if segment, rest, ok = cutNumber(tail); !ok {
			return 0, 0, 0, false
		}
	}
	return node, fork, segment, rest == ""
}

// IsTempRelationName says whether name is a file of a temporary relation, "t3_16384", "t3_16384_fsm.1" (looks_like_temp_rel_name in fd.c).
func IsTempRelationName(name string) bool {
	rest, ok := strings.CutPrefix(name, "t")
	if !ok {
		return false
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if digits == 0 || digits == len(rest) || rest[digits] != '_' {
		return false
	}
	rest = rest[digits+1:]
	if digits = len(rest) - len(strings.TrimLeft(rest, "0123456789")); digits == 0 {
		return false
	}
	rest = rest[digits:]
	for f := InitFork; f > MainFork; f-- {
		if tail, found := strings.CutPrefix(rest, forkSuffixes[f]); found {
			rest = tail
			break
		}
	}
	if rest == "" {
		return true
	}
	segment, found := strings.CutPrefix(rest, ".")
	return found && segment != "" && strings.Trim(segment, "0123456789") == ""
}

// ParseRelationPath reads the path of a relation file below the data directory: global/N, base/DB/N, pg_tblspc/TS/PG_…/DB/N.
func ParseRelationPath(path string) (RelationFile, bool) {
	var r RelationFile
	dir, name := cutLast(path)
	where, ok := parseRelationDir(dir)
	if !ok {
		return r, false
	}
	r.Tablespace, r.Database = where.tablespace, where.database
	r.Node, r.Fork, r.Segment, ok = ParseRelationName(name)
	return r, ok
}

type relationDir struct{ tablespace, database uint32 }

// parseRelationDir knows the directories that hold relations.
func parseRelationDir(dir string) (d relationDir, ok bool) {
	if dir == "global" {
		return d, true
	}
	parts := strings.Split(dir, "/")
	switch {
	case len(parts) == 2 && parts[0] == "base":
	case len(parts) == 4 && parts[0] == "pg_tblspc" && strings.HasPrefix(parts[2], "PG_"):
		var rest string
		if d.tablespace, rest, ok = cutNumber(parts[1]); !ok || rest != "" {
			return d, false
		}
	default:
		return d, false
	}
	var rest string
	d.database, rest, ok = cutNumber(parts[len(parts)-1])
	return d, ok && rest == ""
}

// cutNumber takes a number without leading zeroes that fits into 32 bits off the front.
func cutNumber(s string) (v uint32, rest string, ok bool) {
	i := 0
	var n uint64
	for i < len(s) && i < 11 && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + uint64(s[i]-'0')
		i++
	}
	if i == 0 || s[0] == '0' || n > 1<<32-1 {
		return 0, s, false
	}
	return uint32(n), s[i:], true
}

func cutLast(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
