package dropin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"polarcast/internal/oserr"
)

// ReportRefusal writes the report of a command that ended before there was a backup to run, because of err: what an earlier run left there would be
// read as this one's. It does nothing without a file.
func ReportRefusal(file string, err error) error {
	if file == "" {
		return nil
	}
	return Report{Error: err.Error(), Started: time.Now().UTC()}.write(file)
}

// write puts the report into its file as a whole: under another name first, which is then renamed. A device or a pipe is written to as it is.
func (rep Report) write(name string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("could not write the report to \"%s\": %w", name, oserr.Cause(err))
		}
	}()
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	place, special, err := reportPlace(name)
	if err != nil {
		return err
	}
	if special {
		f, err := os.OpenFile(place, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return errors.Join(err, f.Close())
	}
	f, err := newReport(place)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), place)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// newReport creates the file that becomes the report. It takes no file and follows no link that somebody has put there before.
func newReport(place string) (*os.File, error) {
	tmp := place + ".tmp"
	os.Remove(tmp) // of a run that was killed
	return os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
}

// reportPlace follows symbolic links, and says whether what is there can only be written to, not replaced.
func reportPlace(name string) (place string, special bool, err error) {
	place = name
	if to, err := filepath.EvalSymlinks(name); err == nil {
		place = to
	}
	info, err := os.Stat(place)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return place, false, nil
	case err != nil:
		return place, false, err
	case info.IsDir():
		return place, false, syscall.EISDIR
	}
	return place, !info.Mode().IsRegular(), nil
}

// checkReport fails when the report cannot be written where it is wanted: after hours of copying that would be late.
func (r *backup) checkReport() error {
	if r.o.Report == "" {
		return nil
	}
	place, special, err := reportPlace(r.o.Report)
	switch {
	case err != nil:
	case special:
		err = unix.Access(place, unix.W_OK)
	default:
		var f *os.File
		if f, err = newReport(place); err == nil {
			f.Close()
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		return fmt.Errorf("the report could not be written to \"%s\": %w", r.o.Report, oserr.Cause(err))
	}
	return nil
}
