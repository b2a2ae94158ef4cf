package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"polarcast/internal/polarcast"
	"polarcast/internal/verify"
)

const slotHelp = `
With connection options the replication slot that was made for the backup is dropped as well; a running checkpoint stage does that by itself.
A slot that "polarcast receive -C" has created stays.
`

func cancelCommand() *command {
	return &command{name: "cancel", args: "ID", short: "end a backup that is on its way", long: slotHelp, min: 1, max: 1,
		flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
			reason := fs.String("reason", "", "`TEXT` for the event log")
			parse := forward(fs, connectionOptions)
			return func(ctx context.Context, a *app, args []string) error {
				return a.endBackup(ctx, args[0], fs, parse, func(ctx context.Context, e ending) (string, error) {
					return polarcast.Cancel(ctx, e.client, args[0], *reason, e.connect)
				})
			}
		}}
}

func removeCommand() *command {
	return &command{name: "remove", args: "ID", short: "remove everything that NATS holds of a backup", long: slotHelp, min: 1, max: 1,
		flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
			force := fs.Bool("force", false, "also when the backup is on its way")
			parse := forward(fs, connectionOptions)
			return func(ctx context.Context, a *app, args []string) error {
				return a.endBackup(ctx, args[0], fs, parse, func(ctx context.Context, e ending) (string, error) {
					return polarcast.Remove(ctx, e.client, args[0], *force, e.connect)
				})
			}
		}}
}

func limitCommand() *command {
	return &command{name: "limit", args: "ID RATE", short: "limit the rate of a backup, while it runs", min: 2, max: 2,
		long: "RATE is in bytes per second, such as 50MB (units are powers of 1024), or \"none\".",
		flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
			target := fs.String("target", "", "`NAME` of the target whose rate is limited (default: reading the source)")
			return func(ctx context.Context, a *app, args []string) error {
				rate, err := polarcast.ParseRate(args[1])
				if err != nil {
					return err
				}
				client, closeAll, err := a.connect(ctx, 0)
				if err != nil {
					return err
				}
				defer closeAll()
				return polarcast.SetLimit(ctx, client, args[0], *target, rate)
			}
		}}
}

func verifyCommand() *command {
	return &command{name: "verify", args: "DIR", short: "hold a target against its backup manifest", local: true, min: 1, max: 1,
		long: "Reads all files and compares names, sizes and checksums with backup_manifest, by the rules of pg_verifybackup.",
		flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
			var o verify.Options
			asJSON := fs.Bool("json", false, "print one JSON object (docs/json.md)")
			fs.StringVarP(&o.Manifest, "manifest-path", "m", "", "use this `FILE` as the manifest")
			fs.StringArrayVarP(&o.Ignore, "ignore", "i", nil, "leave out this `PATH`, relative to DIR (repeatable)")
			fs.BoolVarP(&o.SkipChecksums, "skip-checksums", "s", false, "compare names and sizes only")
			fs.StringVar(&o.Shared, "polardata", "", "PolarDB: `DIRECTORY` of the shared data")
			quiet := fs.BoolP("quiet", "q", false, "print nothing but deviations")
			return func(ctx context.Context, a *app, args []string) error {
				o.Dir = args[0]
				rep, err := verify.Run(ctx, o)
				if err != nil {
					return err
				}
				if *asJSON {
					if err := a.json(rep); err != nil {
						return err
					}
				} else {
					for _, p := range rep.Problems {
						a.m.Error("%s", p.Text)
					}
					if rep.OK && !*quiet {
						fmt.Fprintf(a.stdout, "backup successfully verified: %d files, %s\n", rep.Files, polarcast.FormatSize(float64(rep.Bytes)))
					}
				}
				if !rep.OK {
					return errSilent
				}
				return nil
			}
		}}
}
