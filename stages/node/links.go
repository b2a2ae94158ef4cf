package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"polarcast/internal/postgres"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/target"
)

// linkSpaces makes the links of user tablespaces in a plain target of a backup that is sent for archives as well: the server then sends a
// tablespace_map in their place. Its locations are those of the source, and a server that found it would make links to there, so it goes. Done again it
// makes the same.
func linkSpaces(st pipeline.State, l *target.Layout) error {
	if !st.Requested.Options.Tar || stages.SharedStorage(st) {
		return nil
	}
	for oid, location := range l.Spaces() {
		name := l.Dir() + "/pg_tblspc/" + oid
		if location == name {
			continue // a tablespace in place is a directory
		}
		if have, err := os.Readlink(name); err == nil && have == location {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("could not remove symbolic link \"%s\": %w", name, err)
		}
		if err := os.Symlink(location, name); err != nil {
			return fmt.Errorf("could not create symbolic link from \"%s\" to \"%s\": %w", name, location, err)
		}
	}
	if len(l.Spaces()) > 0 {
		if err := pfs.Local().SyncDir(l.Dir() + "/pg_tblspc"); err != nil {
			return err
		}
	}
	file := l.Dir() + "/" + postgres.TablespaceMapFile
	if !exists(pfs.Local(), file) {
		return nil
	}
	// The manifest first: when this is interrupted, the file is found again.
	at := target.Place{FS: pfs.Local(), Path: l.Dir()}
	if err := unlist(st, at, map[string]bool{postgres.TablespaceMapFile: true}); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("could not remove file \"%s\": %w", file, err)
	}
	return pfs.Local().SyncDir(l.Dir())
}
