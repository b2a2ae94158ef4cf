package target

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"polarcast/internal/postgres"
)

// systemFile holds the system identifier of the cluster that is copied into a directory: an interrupted copy has no control file.
const systemFile = "system_identifier"

// ErrNotOld is wrapped by refusals of directories that cannot be brought up to date.
var ErrNotOld = errors.New("directory cannot be brought up to date")

type notOld struct{ msg string }

func (e notOld) Error() string        { return e.msg }
func (e notOld) Is(target error) bool { return target == ErrNotOld }

// IsKept reports whether a directory belongs to a backup that brings an old copy up to date. Nothing of it may be removed in cleaning up.
func IsKept(dir string) bool {
	_, origin := marker(dir)
	return origin == fromKept
}

// HoldsOld reports whether there is anything in a directory beside the marker of a backup.
func HoldsOld(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not read directory \"%s\": %w", dir, unwrapPath(err))
	}
	for _, e := range entries {
		if e.Name() != MarkerDir {
			return true, nil
		}
	}
	return false, nil
}

// CheckOld refuses a directory that does not hold a copy of a cluster, complete or not, that nobody uses. backup is who asks: a directory that
// another process is writing for another backup is refused too. Nothing is changed.
func CheckOld(dir, backup, systemID string, serverVersion int) error {
	refuse := func(format string, args ...any) error {
		return notOld{fmt.Sprintf("directory \"%s\" cannot be brought up to date: ", dir) + fmt.Sprintf(format, args...)}
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return refuse("%v", unwrapPath(err))
	case !info.IsDir():
		return refuse("it is no directory")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return refuse("it belongs to user id %d, and this program runs as %d; run it as the directory's owner", st.Uid, os.Geteuid())
	}
	if o := Owner(dir); o != "" && o != backup && locked(dir) {
		return refuse("another process is writing backup \"%s\" into it", o)
	}
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	id, how := identity(dir)
	switch v := strings.TrimSpace(string(version)); {
	case err != nil && how != systemFile:
		return refuse("it holds no PostgreSQL data directory (there is no PG_VERSION)")
	case err == nil && v != fmt.Sprint(postgres.Major(serverVersion)):
		return refuse("it holds PostgreSQL %s, and the server is version %d", v, postgres.Major(serverVersion))
	case id == "":
		return refuse("which cluster it is a copy of is not known, it has neither a control file nor write-ahead log")
	case id != systemID:
		return refuse("it holds a server with system identifier %s, and the backup is of another one (%s)", id, systemID)
	}
	if pid := running(dir); pid != 0 {
		return refuse("a server is running in it (PID %d), stop it first; if that is no server, remove \"%s\"", pid, filepath.Join(dir, "postmaster.pid"))
	}
	return nil
}

// identity returns the system identifier of the cluster that a directory is a copy of, and what says so.
func identity(dir string) (id, how string) {
	for _, name := range []string{controlFile, ControlOld, ControlPending} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if c, err := postgres.ParseControl(b); err == nil {
			return fmt.Sprint(c.SystemID), name
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, MarkerDir, systemFile)); err == nil {
		return strings.TrimSpace(string(b)), systemFile
	}
	entries, _ := os.ReadDir(filepath.Join(dir, "pg_wal"))
	for _, e := range entries {
		if len(e.Name()) != 24 || strings.Trim(e.Name(), "0123456789ABCDEF") != "" {
			continue
		}
		if id, ok := segmentSystem(filepath.Join(dir, "pg_wal", e.Name())); ok {
			return fmt.Sprint(id), e.Name()
		}
	}
	return "", ""
}

// segmentSystem reads the system identifier from the header of a WAL segment's first page (XLogLongPageHeaderData, xlog_internal.h).
func segmentSystem(name string) (uint64, bool) {
	f, err := os.Open(name)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var head [40]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return 0, false
	}
	const longHeader = 0x0002 // XLP_LONG_HEADER
	le := binary.LittleEndian
	magic := le.Uint16(head[0:]) // 0xD098 is 11, 0xD118 is 18
	return le.Uint64(head[24:]), (magic>>8 == 0xD0 || magic>>8 == 0xD1) && le.Uint16(head[2:])&longHeader != 0
}

// keepSystem notes which cluster is copied into a directory.
func keepSystem(dir, systemID string) error {
	name := filepath.Join(dir, MarkerDir, systemFile)
	if b, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(b)) == systemID {
		return nil
	}
	if err := os.WriteFile(name, []byte(systemID+"\n"), 0o600); err != nil {
		return fmt.Errorf("could not write file \"%s\": %w", name, unwrapPath(err))
	}
	return nil
}
