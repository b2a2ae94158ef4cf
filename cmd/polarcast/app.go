package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"polarcast/internal/cli"
	"polarcast/internal/polarcast"
	"polarcast/pipeline"
)

// app is one run of the program.
type app struct {
	command        *command
	argv           []string
	stdout, stderr io.Writer
	m              *cli.Messages

	config    cli.Config
	nats      cli.NATSFlags
	verbose   bool
	logFormat string
	metrics   string
	logger    *slog.Logger
}

// run reads the options and does what the command does.
func (a *app) run(ctx context.Context, args []string) error {
	c := a.command
	fs := pflag.NewFlagSet("polarcast "+c.name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	do := c.flags(fs)
	a.commonFlags(fs)
	err := fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) || err == nil && fs.Lookup("help").Value.String() == "true" {
		fmt.Fprint(a.stdout, c.help(fs))
		return nil
	}
	if err != nil {
		return a.usage("%s", err)
	}
	if err := a.config.Apply(fs); err != nil {
		return err
	}
	a.m = cli.NewMessages(a.stderr, "polarcast", a.verbose)
	if a.logger, err = polarcast.NewLogger(a.stderr, a.logFormat, a.verbose, a.m); err != nil {
		return err
	}
	switch n := fs.NArg(); {
	case n < c.min:
		return a.usage("%s is missing", c.args)
	case n > c.max:
		return a.usage("too many command-line arguments (first is \"%s\")", fs.Arg(c.max))
	}
	return do(ctx, a, fs.Args())
}

// commonFlags adds the options that all commands have.
func (a *app) commonFlags(fs *pflag.FlagSet) {
	if !a.command.local {
		a.nats.Register(fs)
		fs.StringVar(&a.metrics, "metrics", "", "serve Prometheus metrics and /healthz on `HOST:PORT`")
	}
	a.config.Known = knownFlag
	a.config.Register(fs)
	fs.StringVar(&a.logFormat, "log-format", polarcast.LogText, "write messages as `text` or json, to standard error")
	fs.BoolVarP(&a.verbose, "verbose", "v", false, "say what happens")
	fs.BoolP("help", "?", false, "show this help, then exit")
}

// knownFlag says whether any command has an option, so that one configuration file serves all of them.
func knownFlag(name string) bool {
	for _, c := range commands() {
		fs := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
		c.flags(fs)
		(&app{command: c}).commonFlagsOnly(fs)
		if fs.Lookup(name) != nil {
			return true
		}
	}
	return false
}

// commonFlagsOnly is commonFlags without what asks for the commands again.
func (a *app) commonFlagsOnly(fs *pflag.FlagSet) {
	if fs.Lookup("nats") == nil && fs.Lookup("nats-user") == nil {
		a.nats.Register(fs)
	}
	if fs.Lookup("metrics") == nil {
		fs.String("metrics", "", "")
	}
	fs.String("log-format", "", "")
	fs.Bool("verbose", false, "")
}

// usage is an error in the command line.
func (a *app) usage(format string, args ...any) error {
	return cli.UsageErrorf("polarcast "+a.command.name, format, args...)
}

// fail prints the error that ends the program.
func (a *app) fail(err error) {
	if a.logFormat == polarcast.LogJSON && a.logger != nil {
		a.logger.Error(err.Error())
		return
	}
	a.m.Fail(err)
}

// connect connects to NATS, and serves metrics when they were asked for. close ends both.
func (a *app) connect(ctx context.Context, replicas int) (c *pipeline.Client, closeAll func(), err error) {
	n, err := a.nats.Resolve(true, os.LookupEnv)
	if err != nil {
		return nil, nil, err
	}
	c, err = pipeline.Connect(ctx, pipeline.ClientOptions{URLs: n.URLs, Creds: n.Creds, NKey: n.NKey, User: n.User, Password: n.Password, Token: n.Token,
		CA: n.TLSCA, Cert: n.TLSCert, Key: n.TLSKey, Name: "polarcast " + a.command.name, Replicas: replicas, Logger: a.logger})
	if err != nil {
		return nil, nil, err
	}
	if a.metrics == "" {
		return c, c.Close, nil
	}
	m, err := polarcast.ServeMetrics(a.metrics, c)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	a.logger.Info("serving metrics", "address", m.Addr())
	return c, func() { m.Close(); c.Close() }, nil
}
