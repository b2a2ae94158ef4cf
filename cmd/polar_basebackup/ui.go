package main

import (
	"os"

	"polarcast/internal/cli"
	"polarcast/internal/cli/basebackup"
	"polarcast/internal/dropin"
	"polarcast/pipeline"
)

// ui prints what pg_basebackup prints.
type ui struct {
	m        *cli.Messages
	progress *cli.Progress // nil without -P
}

var _ dropin.UI = (*ui)(nil)

func newUI(o *basebackup.Options) *ui {
	u := &ui{m: cli.NewMessages(os.Stderr, o.Argv0, o.Verbose > 0)}
	if o.Progress {
		u.progress = u.m.Progress()
	}
	return u
}

func (u *ui) ServerVersion(num int) { u.m.SetServerVersion(num) }

func (u *ui) Verbose(format string, args ...any) { u.m.Verbose(format, args...) }

func (u *ui) Info(format string, args ...any) { u.m.Info(format, args...) }

func (u *ui) Failed(err error) { u.m.Fail(err) }

func (u *ui) ServerWarning(message string) { u.m.Notice("WARNING", message, "", "") }

func (u *ui) WaitingForCheckpoint() {
	if u.progress != nil {
		u.m.WaitingForCheckpoint()
	}
}

func (u *ui) Progress(p pipeline.Progress, last bool) {
	if u.progress == nil {
		return
	}
	pos := cli.Position{DoneBytes: p.Read, TotalKB: p.Total / 1024, Tablespace: max(p.Tablespaces-1, 0), Tablespaces: p.TablespacesTotal, File: p.File}
	if last {
		pos.Tablespace = p.Tablespaces
	}
	u.progress.Report(pos, last, last)
}
