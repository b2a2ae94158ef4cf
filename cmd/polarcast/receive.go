package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"polarcast/internal/cli"
	"polarcast/internal/cli/basebackup"
	"polarcast/internal/polarcast"
	"polarcast/pfs"
	"polarcast/stages/node"
	"polarcast/stages/storage"
	"polarcast/stages/target"
)

const receiveHelp = `
Runs the stages storage and node of one target, on its host. Waits for the backup when it was not sent yet. Ends when the target is a node.
With -R the connection options say how the new node reaches its primary. With -C the slot of -S is created there as soon as the backup has begun; the
same command, run again, uses it. It is the node's: no command drops it.
`

func receiveCommand() *command {
	return receiverCommand("receive", "receive a backup on the host of one target", receiveHelp, []string{polarcast.StageStorage, polarcast.StageNode})
}

func receiverCommand(name, short, long string, stages []string) *command {
	makesNode := stages[len(stages)-1] == polarcast.StageNode
	return &command{name: name, short: short, long: long, flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
		backup := fs.String("backup", "", "`ID` of the backup")
		name_ := fs.String("target", "", "`NAME` of the target that this directory is")
		groups := [][]forwarded{outputOptions}
		if makesNode {
			groups = append(groups, nodeOptions, connectionOptions)
		} else {
			groups = append(groups, storageOptions)
		}
		parse := forward(fs, groups...)
		return func(ctx context.Context, a *app, _ []string) error {
			o, err := parse(name)
			if err != nil {
				return err
			}
			switch {
			case *backup == "":
				return a.usage("name the backup with --backup")
			case *name_ == "":
				return a.usage("name the target with --target")
			}
			r := &polarcast.Receiver{Backup: *backup, Stages: stages, Logger: a.logger}
			if err := receiver(r, a, fs, o, *name_); err != nil {
				return err
			}
			client, closeAll, err := a.connect(ctx, 0)
			if err != nil {
				return err
			}
			defer closeAll()
			r.Client = client
			return r.Run(ctx)
		}
	}}
}

// receiver takes the options of the target.
func receiver(r *polarcast.Receiver, a *app, fs *pflag.FlagSet, o *basebackup.Options, name string) error {
	r.Target = target.Config{Name: name, Format: target.Format(o.Format), Dir: o.Directory, SharedDir: o.PolarData, WALDir: o.WALDir, Delta: o.Delta}
	for _, m := range o.Tablespaces {
		r.Target.Tablespaces = append(r.Target.Tablespaces, target.Mapping{Old: m.Old, New: m.New})
	}
	r.Sync = storage.SyncMethod(o.SyncMethod)
	if o.NoSync {
		r.Sync = storage.SyncNone
	}
	if o.Format == basebackup.Tar {
		r.Tar = &storage.TarOptions{Compression: tarCompression(o), Level: o.Compression.Level, Workers: o.Compression.Workers, Long: o.Compression.Long}
	}
	if o.PolarDiskName != "" {
		m := pfs.MountOptions{Library: o.PFSDLibrary, Cluster: o.PolarCluster, Disk: o.PolarDiskName, HostID: o.PolarHostID, Logger: a.logger}
		r.Mount = func(ctx context.Context) (pfs.FS, error) { return pfs.Mount(ctx, m) }
		r.ForceMount = o.ForceMount
	}
	r.Settings = node.Settings{Kind: node.Kind(o.NodeIs), WriteRecoveryConf: o.WriteRecoveryConf, Slot: o.Slot, HostID: o.PolarHostID,
		Cluster: o.PolarCluster, Start: o.Start}
	for _, p := range o.Set {
		r.Settings.Set = append(r.Settings.Set, node.Setting{Name: p.Name, Value: p.Value})
	}
	r.Settings.OnDiff = func(diff string) { a.logger.Info("changed the configuration:\n" + strings.TrimSuffix(diff, "\n")) }
	kind := r.Settings.Kind
	r.Target.NoShared = kind == node.Replica
	if !slices.Contains(r.Stages, polarcast.StageNode) {
		return nil
	}
	follows := o.WriteRecoveryConf || kind == node.Replica || kind == node.Standby
	if !follows && !o.CreateSlot {
		return nil
	}
	if _, env := os.LookupEnv("PGHOST"); !env && !given(fs, connectionOptions) {
		switch {
		case !follows:
			return cli.Errorf("-C needs to know on which server the replication slot is created: add -d CONNSTR, or -h and -p")
		case !o.WriteRecoveryConf:
			return cli.Errorf("--node=%s needs to know how the new node reaches its primary: add -d CONNSTR, or -h and -p", kind)
		}
		return cli.Errorf("-R needs to know how the new node reaches its primary: add -d CONNSTR, or -h and -p")
	}
	src, err := a.source(o)
	if err != nil {
		return err
	}
	if o.CreateSlot {
		r.CreateSlot = src.Connect
	}
	if follows {
		r.Settings.ConnInfo, r.Settings.SQL = src.ConnInfo, src.ConnectSQL
	}
	return nil
}

// tarCompression is how archives are compressed here, "" for not at all.
func tarCompression(o *basebackup.Options) string {
	if c := o.Compression.Client(); c != "none" {
		return c
	}
	return ""
}
