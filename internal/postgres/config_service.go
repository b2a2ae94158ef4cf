package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// systemServiceDirs are where the system-wide service file is looked for when PGSYSCONFDIR is not set: Debian's place, and that of the packages of
// Red Hat and a build from source.
var systemServiceDirs = []string{"/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc", "/usr/local/pgsql/etc"}

// loadService reads the service called name: from file if it is given, else from ~/.pg_service.conf, else from the system-wide file
// (parseServiceInfo in fe-connect.c). path is the file that had it.
func loadService(name, file string) (out settings, path string, err error) {
	var files []string
	if file != "" {
		files = append(files, file)
	} else if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".pg_service.conf"))
	}
	if dir := os.Getenv("PGSYSCONFDIR"); dir != "" {
		files = append(files, filepath.Join(dir, "pg_service.conf"))
	} else {
		for _, dir := range systemServiceDirs {
			files = append(files, filepath.Join(dir, "pg_service.conf"))
		}
	}
	for i, path := range files {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && !(i == 0 && file != "") {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("service file %q cannot be read: %w", path, err)
		}
		out, found, err := parseService(string(text), name, path)
		if err != nil {
			return nil, "", err
		}
		if found {
			return out, path, nil
		}
	}
	return nil, "", fmt.Errorf("definition of service %q not found", name)
}

// parseService reads the section [name] of a service file.
func parseService(text, name, path string) (out settings, found bool, err error) {
	out = settings{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			if found {
				return out, true, nil
			}
			found = strings.HasPrefix(line, "["+name+"]")
			continue
		}
		if !found {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		switch {
		case !ok:
			return nil, false, fmt.Errorf("syntax error in service file %q, line %d", path, i+1)
		case key == "service" || key == "servicefile":
			return nil, false, fmt.Errorf("nested \"service\" specifications not supported in service file %q, line %d", path, i+1)
		case findKeyword(key) == nil:
			return nil, false, fmt.Errorf("syntax error in service file %q, line %d", path, i+1)
		}
		if _, ok := out[key]; !ok { // the first one counts
			out[key] = value
		}
	}
	return out, found, nil
}
