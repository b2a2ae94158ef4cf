// Command polarcast sends base backups of a running PolarDB or PostgreSQL server to any number of hosts over NATS JetStream, receives them
// there, and shows and steers backups that are on their way.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"polarcast/internal/cli"
	"polarcast/pfs"
)

// command is one command of the program.
type command struct {
	name  string // with the words before it, such as "stage wal"
	args  string // for the help: what follows the options
	short string
	long  string
	// flags adds the command's options, and returns what it does after they were read.
	flags func(fs *pflag.FlagSet) func(ctx context.Context, a *app, args []string) error
	// nargs is how many arguments the command takes at least and at most.
	min, max int
	local    bool // needs no NATS server
}

// commands in the order of the help. It is a function because the commands' own help needs it.
func commands() []*command {
	list := []*command{serverCommand(), sendCommand(), receiveCommand()}
	list = append(list, stageCommands()...)
	return append(list, statusCommand(), listCommand(), eventsCommand(), cancelCommand(), removeCommand(), limitCommand(), verifyCommand())
}

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// errInterrupted is the end by SIGINT, SIGTERM or SIGHUP.
var errInterrupted = errors.New("interrupted: the same command continues where this one was")

// errSilent ends with status 1 after everything was said.
var errSilent = errors.New("failed")

func run(argv []string, stdout, stderr io.Writer) int {
	c, rest, code := find(argv, stdout, stderr)
	if c == nil {
		return code
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	sig := cli.CatchInterrupts()
	defer sig.Stop()
	a := &app{command: c, argv: argv, stdout: stdout, stderr: stderr, m: cli.NewMessages(stderr, "polarcast", false)}
	go func() {
		select {
		case <-sig.First():
		case <-ctx.Done():
			return
		}
		cancel(errInterrupted)
		select { // the program ends at once then: the next run goes on
		case <-sig.Second():
		case <-pfs.Hung():
			a.fail(pfs.ErrHung)
		}
		os.Exit(130)
	}()
	err := a.run(ctx, rest)
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return 0
	case !errors.Is(err, errSilent):
		a.fail(err)
	}
	return 1
}

// find returns the command that the arguments name, and what follows it; without one the program ends with the code.
func find(argv []string, stdout, stderr io.Writer) (c *command, rest []string, code int) {
	m := cli.NewMessages(stderr, "polarcast", false)
	if len(argv) < 2 {
		fmt.Fprint(stderr, help())
		return nil, nil, 1
	}
	switch argv[1] {
	case "help", "--help", "-h", "-?":
		fmt.Fprint(stdout, help())
		return nil, nil, 0
	case "version", "--version", "-V":
		fmt.Fprintf(stdout, "polarcast %s\n", cli.Version)
		return nil, nil, 0
	}
	for _, words := range []int{2, 1} {
		if len(argv) <= words {
			continue
		}
		name := strings.Join(argv[1:1+words], " ")
		for _, c := range commands() {
			if c.name == name {
				return c, argv[1+words:], 0
			}
		}
	}
	what := "\"" + argv[1] + "\""
	if argv[1] == "stage" {
		m.Fail(cli.UsageErrorf("polarcast", "no such stage: name \"checkpoint\", \"tablespace\", \"wal\", \"storage\" or \"node\""))
		return nil, nil, 1
	}
	m.Fail(cli.UsageErrorf("polarcast", "unknown command %s", what))
	return nil, nil, 1
}
