package basebackup

import (
	"fmt"
	"io"

	"polarcast/internal/cli"
)

// Start reads the command line and does what ends there: help, version and
// refusals. When done is set, the program exits with status code; else the
// options say what to do.
func Start(args []string, stdout, stderr io.Writer) (o *Options, code int, done bool) {
	o, err := Parse(args)
	if err != nil {
		argv0 := ""
		if len(args) > 0 {
			argv0 = args[0]
		}
		cli.NewMessages(stderr, argv0, false).Fail(err)
		return nil, 1, true
	}
	switch o.Action {
	case Help:
		_, err = fmt.Fprint(stdout, HelpText(o.ProgName))
	case Version:
		_, err = fmt.Fprint(stdout, VersionText(o.ProgName))
	default:
		return o, 0, false
	}
	if err != nil {
		cli.NewMessages(stderr, o.Argv0, false).Error("could not write to standard output: %s", err)
		return nil, 1, true
	}
	return o, 0, true
}
