package postgres

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// defaultSocketDirs are the directories that builds of libpq have as default: Debian's and Red Hat's, and PostgreSQL's own.
var defaultSocketDirs = []string{"/var/run/postgresql", "/tmp"}

// passwordFrom looks for a password in the password file (passwordFromFile in fe-connect.c): lines of host:port:database:user:password, where * fits all.
// dbname is "replication" on a connection for physical replication. warn is called when the file is ignored.
func passwordFrom(path, host, port, dbname, user string, warn func(string)) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if !info.Mode().IsRegular() {
		warn(fmt.Sprintf("password file %q is not a plain file", path))
		return ""
	}
	if info.Mode().Perm()&0o077 != 0 {
		warn(fmt.Sprintf("password file %q has group or world access; permissions should be u=rw (0600) or less", path))
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := passFields(line)
		if len(fields) < 5 {
			continue
		}
		if fits(fields[0], passHosts(host)...) && fits(fields[1], port) && fits(fields[2], dbname) && fits(fields[3], user) {
			return fields[4]
		}
	}
	return ""
}

// passHosts are the names that the first field may have for host. A socket in the default directory is "localhost"; since that directory was a choice of whoever
// built libpq, its path fits as well.
func passHosts(host string) []string {
	for _, dir := range defaultSocketDirs {
		if filepath.Clean(host) == dir {
			return []string{"localhost", host}
		}
	}
	return []string{host}
}

// fits says whether a field of the password file fits one of values.
func fits(field string, values ...string) bool {
	for _, v := range values {
		if field == "*" || field == v {
			return true
		}
	}
	return false
}

// passFields splits a line at colons; a backslash takes the next character as it is.
func passFields(line string) []string {
	var fields []string
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case line[i] == ':':
			fields = append(fields, b.String())
			b.Reset()
		default:
			b.WriteByte(line[i])
		}
	}
	return append(fields, b.String())
}
