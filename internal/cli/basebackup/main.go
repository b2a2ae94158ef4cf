package basebackup

import (
	"fmt"
	"io"

	"polarcast/internal/cli"
)

// Start reads the command line and does what ends there: help, version and
// refusals. When done is set, the program ends, with status 1 after an error
// (which was printed); else the options say what to do.
func Start(args []string, stdout, stderr io.Writer) (o *Options, err error, done bool) {
	o, err = Parse(args)
	if err != nil {
		argv0 := ""
		if len(args) > 0 {
			argv0 = args[0]
		}
		cli.NewMessages(stderr, argv0, false).Fail(err)
		return o, err, true
	}
	switch o.Action {
	case Help:
		_, err = fmt.Fprint(stdout, HelpText(o.ProgName))
	case Version:
		_, err = fmt.Fprint(stdout, VersionText(o.ProgName))
	default:
		return o, nil, false
	}
	if err != nil {
		err = fmt.Errorf("could not write to standard output: %w", err)
		cli.NewMessages(stderr, o.Argv0, false).Fail(err)
	}
	return o, err, true
}
