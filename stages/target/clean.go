package target

import (
	"errors"
	"fmt"
	"os"

	"polarcast/messages"
)

// Clean removes what a backup created on local file systems, and nothing else: directories that it made go away, directories that it found
// empty are emptied again. It goes on after an error and returns all of them.
func Clean(opened *messages.TargetOpened) error {
	if opened == nil {
		return nil
	}
	var errs []error
	for _, d := range opened.Emptied {
		entries, err := os.ReadDir(d)
		if err != nil && !os.IsNotExist(err) {
			errs = append(errs, fmt.Errorf("could not read directory \"%s\": %w", d, unwrapPath(err)))
		}
		for _, e := range entries {
			if err := os.RemoveAll(d + "/" + e.Name()); err != nil {
				errs = append(errs, fmt.Errorf("could not remove \"%s/%s\": %w", d, e.Name(), unwrapPath(err)))
			}
		}
	}
	for _, d := range opened.Created {
		if err := os.RemoveAll(d); err != nil {
			errs = append(errs, fmt.Errorf("could not remove directory \"%s\": %w", d, unwrapPath(err)))
		}
	}
	return errors.Join(errs...)
}
