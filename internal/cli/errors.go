package cli

import "fmt"

// Form is how the first line of an [Error] is printed.
type Form int

const (
	// FormError is "progname: error: text", the form of PostgreSQL 12 and later.
	FormError Form = iota
	// FormBare is "progname: text", the form of PostgreSQL 11 and of the checks
	// that PolarDB added to polar_basebackup.
	FormBare
	// FormGetopt is "argv[0]: text", the form of glibc's getopt.
	FormGetopt
)

// Error is an error for a person: what happened, and what to do.
// All of them end the program with exit status 1, as in the originals.
type Error struct {
	Form    Form
	Text    string   // without the program's name; empty prints no first line
	Details []string // printed as "detail:" lines
	Hint    string   // printed as a "hint:" line; empty for none
}

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Hint
	}
	return e.Text
}

// Errorf makes an error without a hint (pg_fatal in the original).
func Errorf(format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...)}
}

// UsageErrorf makes an error about the command line, with the hint that the
// originals add: Try "progname --help" for more information.
func UsageErrorf(prog, format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...), Hint: TryHelp(prog)}
}

// TryHelp is the hint that follows an error in the command line.
func TryHelp(prog string) string {
	return fmt.Sprintf("Try \"%s --help\" for more information.", prog)
}
