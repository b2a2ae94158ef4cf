//go:build !linux || !cgo

package sdk

import "errors"

// errUnsupported says that this program was built without cgo or not for Linux.
var errUnsupported = errors.New("this program was built without PFS support: build it with CGO_ENABLED=1 on Linux")

func Load(string) (file, build string, err error) { return "", "", errUnsupported }
func Capture(func(Line)) error                    { return errUnsupported }
func Drained()                                    {}
func Prepare(string, int)                         {}
func Mount(string, string, int, int) error        { return errUnsupported }
func Umount(string) error                         { return errUnsupported }
func Open(string, int) (int, error)               { return 0, errUnsupported }
func Close(int) error                             { return errUnsupported }
func Pread(int, []byte, int64) (int, error)       { return 0, errUnsupported }
func Pwrite(int, []byte, int64) (int, error)      { return 0, errUnsupported }
func Ftruncate(int, int64) error                  { return errUnsupported }
func Fallocate(int, int64, int64) error           { return errUnsupported }
func StatPath(string) (Stat, error)               { return Stat{}, errUnsupported }
func StatFD(int) (Stat, error)                    { return Stat{}, errUnsupported }
func Mkdir(string) error                          { return errUnsupported }
func Rmdir(string) error                          { return errUnsupported }
func Unlink(string) error                         { return errUnsupported }
func Rename(string, string) error                 { return errUnsupported }
func List(string) ([]Entry, error)                { return nil, errUnsupported }
