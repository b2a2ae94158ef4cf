package cli

import "path/filepath"

// Version is the version of polarcast. Release builds set it with
// -ldflags "-X polarcast/internal/cli.Version=…".
var Version = "0.1.0"

// ProgName is the name by which messages call the program that was started as
// argv0: its last path element (get_progname in PostgreSQL's path.c).
func ProgName(argv0 string) string {
	if argv0 == "" {
		return "polarcast"
	}
	return filepath.Base(argv0)
}
