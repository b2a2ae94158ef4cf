package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"polarcast/internal/cli"
	"polarcast/internal/polarcast"
	"polarcast/messages"
	"polarcast/pipeline"
)

// listenFor is how long "status" listens to reports before it shows something: processes report once a second.
const listenFor = 1300 * time.Millisecond

func (a *app) json(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func statusCommand() *command {
	return &command{name: "status", args: "[ID]", short: "show a backup, or the last one", max: 1,
		flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
			asJSON := fs.Bool("json", false, "print one JSON object (docs/json.md)")
			watch := fs.Bool("watch", false, "show it again every second until it is over; with --json one object a line")
			return onBackup(func(ctx context.Context, a *app, client *pipeline.Client, id string) error {
				return a.watch(ctx, polarcast.NewView(ctx, client, id), *watch, *asJSON)
			})
		}}
}

// onBackup is a command about the backup that is named, or the last one.
func onBackup(do func(ctx context.Context, a *app, client *pipeline.Client, id string) error) func(context.Context, *app, []string) error {
	return func(ctx context.Context, a *app, args []string) error {
		client, closeAll, err := a.connect(ctx, 0)
		if err != nil {
			return err
		}
		defer closeAll()
		id, err := backupOf(ctx, client, args)
		if err != nil {
			return err
		}
		if _, err := polarcast.Known(ctx, client, id); err != nil {
			return err
		}
		return do(ctx, a, client, id)
	}
}

// watch shows a status once, or until the backup is over.
func (a *app) watch(ctx context.Context, v *polarcast.View, again, asJSON bool) error {
	for {
		select {
		case <-time.After(listenFor):
		case <-ctx.Done():
			return a.interrupted(ctx)
		}
		s, err := v.Status(ctx)
		if err != nil {
			return err
		}
		switch {
		case asJSON && again:
			err = json.NewEncoder(a.stdout).Encode(s)
		case asJSON:
			err = a.json(s)
		default:
			if again && cli.IsTerminal(a.stdout) {
				fmt.Fprint(a.stdout, "\x1b[H\x1b[2J")
			}
			err = s.Render(a.stdout)
			if again {
				fmt.Fprintln(a.stdout)
			}
		}
		over := s.State == polarcast.StateComplete || s.State == polarcast.StateFailed || s.State == polarcast.StateCancelled
		if err != nil || !again || over {
			return err
		}
	}
}

// interrupted ends a command that only shows something: to end it is no failure.
func (a *app) interrupted(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return nil
	}
	return context.Cause(ctx)
}

// backupOf is the backup that was named, or the one that was requested last.
func backupOf(ctx context.Context, c *pipeline.Client, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	all, err := polarcast.List(ctx, c)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("there is no backup on this NATS server")
	}
	last := all[0]
	for _, s := range all {
		if s.RequestedAt.After(last.RequestedAt) {
			last = s
		}
	}
	return last.Backup, nil
}

func listCommand() *command {
	return &command{name: "list", short: "list all backups", flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
		asJSON := fs.Bool("json", false, "print a JSON array (docs/json.md)")
		return func(ctx context.Context, a *app, _ []string) error {
			client, closeAll, err := a.connect(ctx, 0)
			if err != nil {
				return err
			}
			defer closeAll()
			all, err := polarcast.List(ctx, client)
			if err != nil {
				return err
			}
			if *asJSON {
				return a.json(all)
			}
			return polarcast.RenderList(a.stdout, all)
		}
	}}
}

func eventsCommand() *command {
	return &command{name: "events", args: "[ID]", short: "show the event log of a backup", max: 1,
		flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
			asJSON := fs.Bool("json", false, "print one JSON object a line, as docs/messages.md has them")
			follow := fs.Bool("follow", false, "go on with events that come, until the backup is over")
			return onBackup(func(ctx context.Context, a *app, client *pipeline.Client, id string) error {
				err := client.Log(id).Events(ctx, 0, *follow, func(_ uint64, ev messages.Event) error { return a.event(ev, *asJSON, *follow) })
				if errors.Is(err, errOver) {
					return nil
				}
				if ctx.Err() != nil {
					return a.interrupted(ctx)
				}
				return err
			})
		}}
}

// errOver ends the following of a log.
var errOver = errors.New("the backup is over")

func (a *app) event(ev messages.Event, asJSON, follow bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(a.stdout).Encode(ev)
	} else {
		level, text := polarcast.Describe(ev)
		mark := ""
		if level >= slog.LevelWarn {
			mark = level.String() + ": "
		}
		_, err = fmt.Fprintf(a.stdout, "%s  %-16s %s%s\n", ev.Time.Local().Format("2006-01-02 15:04:05.000"), ev.Type, mark, text)
	}
	if err == nil && follow {
		switch ev.Type {
		case messages.EventCompleted, messages.EventFailed, messages.EventCancelled:
			return errOver
		}
	}
	return err
}
