package main

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"polarcast/internal/cli/basebackup"
	"polarcast/internal/polarcast"
	"polarcast/pipeline"
)

// ending is what cancel and remove work with.
type ending struct {
	client  *pipeline.Client
	connect polarcast.Connector // nil without connection options
}

// endBackup runs fn, and says which slots may be left on the server.
func (a *app) endBackup(ctx context.Context, backup string, fs *pflag.FlagSet, parse func(string, ...string) (*basebackup.Options, error),
	fn func(context.Context, ending) (string, error)) error {
	var e ending
	if given(fs, connectionOptions) {
		o, err := parse(a.command.name, "-D", "/")
		if err != nil {
			return err
		}
		src, err := a.source(o)
		if err != nil {
			return err
		}
		e.connect = src.Connect
	}
	client, closeAll, err := a.connect(ctx, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	e.client = client
	st, err := polarcast.Known(ctx, client, backup)
	if err != nil && !errors.Is(err, polarcast.ErrLogLost) {
		return err
	}
	slot, err := fn(ctx, e)
	if err != nil {
		return err
	}
	for _, s := range polarcast.UnusedSlots(st) {
		a.m.Warning("replication slot \"%s\", which target \"%s\" has created with -C, stays on the server and holds WAL back: drop it there when nothing uses it", s.Slot, s.Target)
	}
	if slot != "" {
		a.m.Warning("replication slot \"%s\" is left on the server unless the checkpoint stage drops it: add connection options, or drop it there", slot)
	}
	return nil
}
