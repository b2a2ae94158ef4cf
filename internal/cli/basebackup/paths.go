package basebackup

import (
	"path"
	"regexp"
	"strings"

	"polarcast/internal/cli"
)

// maxPath is PostgreSQL's MAXPGPATH, in bytes.
const maxPath = 1024

// windowsPath is an absolute path of a server on Windows.
var windowsPath = regexp.MustCompile(`^(\\|[A-Za-z]:[\\/])`)

// parseMapping reads OLDDIR=NEWDIR of -T, where \= stands for an equals sign in
// a name (tablespace_list_append in pg_basebackup.c).
func parseMapping(arg string) (Mapping, error) {
	var side [2]strings.Builder
	at := 0
	for i := 0; i < len(arg); i++ {
		if side[at].Len() >= maxPath {
			return Mapping{}, cli.Errorf("directory name too long")
		}
		switch {
		case arg[i] == '\\' && i+1 < len(arg) && arg[i+1] == '=':
		case arg[i] == '=' && (i == 0 || arg[i-1] != '\\'):
			if side[1].Len() > 0 {
				return Mapping{}, cli.Errorf("multiple \"=\" signs in tablespace mapping")
			}
			at = 1
		default:
			side[at].WriteByte(arg[i])
		}
	}
	m := Mapping{Old: side[0].String(), New: side[1].String()}
	if m.Old == "" || m.New == "" {
		return Mapping{}, cli.Errorf("invalid tablespace mapping format \"%s\", must be \"OLDDIR=NEWDIR\"", arg)
	}
	if !path.IsAbs(m.Old) && !windowsPath.MatchString(m.Old) {
		return Mapping{}, cli.Errorf("old directory is not an absolute path in tablespace mapping: %s", m.Old)
	}
	if !path.IsAbs(m.New) {
		return Mapping{}, cli.Errorf("new directory is not an absolute path in tablespace mapping: %s", m.New)
	}
	return Mapping{Old: canonical(m.Old), New: canonical(m.New)}, nil
}

// canonical is canonicalize_path in PostgreSQL's path.c: no trailing or double
// slashes, no "." and "..".
func canonical(p string) string {
	if p == "" {
		return p
	}
	return path.Clean(p)
}

// settingName is the name of a configuration parameter of PostgreSQL, perhaps of
// an extension.
var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*$`)

// parseSetting reads NAME=VALUE of --set.
func parseSetting(arg string) (Setting, error) {
	name, value, found := strings.Cut(arg, "=")
	name = strings.TrimSpace(name)
	if !found || !settingName.MatchString(name) {
		return Setting{}, cli.Errorf("invalid --set argument \"%s\", must be \"NAME=VALUE\"", arg)
	}
	if strings.ContainsAny(value, "\n\x00") {
		return Setting{}, cli.Errorf("invalid --set argument \"%s\": a value cannot have a line break", name)
	}
	return Setting{Name: name, Value: strings.TrimSpace(value)}, nil
}
