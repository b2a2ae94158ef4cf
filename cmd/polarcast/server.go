package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"polarcast/internal/polarcast"
	"polarcast/pipeline"
)

const serverHelp = `
Runs a NATS server with JetStream for people who have none. Streams are kept below --store; the server goes on with them when it is started
again. For more than one server, use nats-server.
`

func serverCommand() *command {
	return &command{name: "server", short: "run a JetStream server", long: serverHelp, local: true,
		flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
			var o pipeline.ServerOptions
			var max, metrics string
			fs.StringVar(&o.Listen, "listen", "127.0.0.1:4222", "`HOST:PORT` for clients")
			fs.StringVar(&o.StoreDir, "store", "", "`DIRECTORY` of the streams")
			fs.StringVar(&max, "max-store", "", "`SIZE` that all streams may have together (default: as much as the disk has)")
			fs.BoolVar(&o.SyncAlways, "sync-always", false, "make every message durable before it is confirmed")
			fs.StringVar(&o.User, "nats-user", "", "`NAME` that clients must give")
			fs.StringVar(&o.Password, "nats-password", "", "`PASSWORD` that clients must give (better in the environment, as POLARCAST_NATS_PASSWORD)")
			fs.StringVar(&o.TLSCert, "tls-cert", "", "PEM `FILE` of the server's certificate; clients then use TLS")
			fs.StringVar(&o.TLSKey, "tls-key", "", "PEM `FILE` of its key")
			fs.StringVar(&metrics, "metrics", "", "serve Prometheus metrics and /healthz on `HOST:PORT`")
			return func(ctx context.Context, a *app, _ []string) error {
				var err error
				switch {
				case o.StoreDir == "":
					return a.usage("name a directory for the streams with --store")
				case (o.TLSCert == "") != (o.TLSKey == ""):
					return a.usage("--tls-cert and --tls-key must be specified together")
				case o.Password != "" && o.User == "":
					return a.usage("--nats-password needs --nats-user")
				case max != "":
					if o.MaxStore, err = polarcast.ParseSize(max); err != nil {
						return fmt.Errorf("--max-store: %w", err)
					}
				}
				o.Logger = a.logger
				s, err := pipeline.StartServer(o)
				if err != nil {
					return err
				}
				defer s.Shutdown()
				if metrics != "" {
					m, err := polarcast.ServeMetrics(metrics, nil)
					if err != nil {
						return err
					}
					defer m.Close()
				}
				fmt.Fprintln(a.stdout, s.URL())
				<-ctx.Done()
				if errors.Is(context.Cause(ctx), errInterrupted) {
					return nil
				}
				return context.Cause(ctx)
			}
		}}
}
