package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"polarcast/messages"
	"polarcast/pfs"
)

// Clean removes what a backup created, and nothing else: directories that it made go away, directories that it found empty are emptied again.
// shared is the disk of the shared tree when that is on PFS. It goes on after an error and returns all of them.
func Clean(opened *messages.TargetOpened, shared pfs.FS) error {
	if opened == nil {
		return nil
	}
	var errs []error
	on := func(dir string) pfs.FS {
		if shared != nil && shared.Info().Disk != "" && strings.HasPrefix(dir, "/"+shared.Info().Disk+"/") {
			return shared
		}
		return pfs.Local()
	}
	for _, d := range opened.Emptied {
		entries, err := on(d).ReadDir(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("could not read directory \"%s\": %w", d, unwrapPath(err)))
		}
		for _, e := range entries {
			if err := removeAll(on(d), d+"/"+e.Name); err != nil {
				errs = append(errs, fmt.Errorf("could not remove \"%s/%s\": %w", d, e.Name, unwrapPath(err)))
			}
		}
	}
	for _, d := range opened.Created {
		if err := removeAll(on(d), d); err != nil {
			errs = append(errs, fmt.Errorf("could not remove directory \"%s\": %w", d, unwrapPath(err)))
		}
	}
	return errors.Join(errs...)
}

// removeAll takes local directories without permissions too, as os.RemoveAll does.
func removeAll(f pfs.FS, name string) error {
	if f.Info().Kind == pfs.KindPFS {
		return pfs.RemoveAll(f, name)
	}
	return os.RemoveAll(name)
}
