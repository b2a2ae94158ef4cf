package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"polarcast/internal/polarcast"
	"polarcast/pfs"
)

const sendHelp = `
Runs the stages checkpoint, tablespace and wal: reads the server once, for all targets. Start "polarcast receive" on the host of each target,
before or after. Ends when every target is a node.
`

func sendCommand() *command {
	return senderCommand("send", "send a backup of a server to named targets", sendHelp,
		[]string{polarcast.StageCheckpoint, polarcast.StageTablespace, polarcast.StageWAL})
}

// stageCommands are the single stages.
func stageCommands() []*command {
	return []*command{
		senderCommand("stage checkpoint", "begin and end the sessions of a backup",
			"Creates the backup and ends it when every target is a node. One process leads, others take over when it is gone.",
			[]string{polarcast.StageCheckpoint}),
		senderCommand("stage tablespace", "read the source's files",
			"Waits for the backup. With the source \"files\" any number of processes share the work; with \"stream\" one reads, others take over.",
			[]string{polarcast.StageTablespace}),
		senderCommand("stage wal", "stream the source's WAL",
			"Waits for the backup. One process leads, others take over when it is gone.", []string{polarcast.StageWAL}),
		receiverCommand("stage storage", "write a target's files", "Waits for the backup. Any number of processes on the target's host share the work.",
			[]string{polarcast.StageStorage}),
		receiverCommand("stage node", "prove that a target is complete, and make a node of it",
			"Waits for the backup. One process leads, others take over when it is gone.", []string{polarcast.StageNode}),
	}
}

// sendFlags are the options that only our own commands have.
type sendFlags struct {
	backup          string
	targets         []string
	keep            time.Duration
	maxLag, buffer  string
	replicas, retry int
	tar             bool
	spill           string
}

func senderCommand(name, short, long string, stages []string) *command {
	leads := stages[0] == polarcast.StageCheckpoint
	reads := len(stages) > 1 || stages[0] == polarcast.StageTablespace
	wal := len(stages) > 1 || stages[0] == polarcast.StageWAL
	return &command{name: name, short: short, long: long, flags: func(fs *pflag.FlagSet) func(context.Context, *app, []string) error {
		f := &sendFlags{}
		fs.StringVar(&f.backup, "backup", "", "`ID` of the backup: letters, digits, '-' and '_'")
		if leads {
			fs.StringArrayVar(&f.targets, "target", nil, "`NAME` of a target (repeatable, or separated by commas)")
			fs.DurationVar(&f.keep, "keep", 0, "keep all chunks for that `DURATION`, such as 2h, so that targets may join late")
			fs.StringVar(&f.maxLag, "max-lag", "", "drop a target that is more than `SIZE` behind, such as 512MB, but never the last one")
			fs.StringVar(&f.buffer, "buffer", "1GB", "`SIZE` of the buffer between source and targets in JetStream")
			fs.IntVar(&f.replicas, "replicas", 0, "`NUM` of servers that hold each stream: 1 (default), 3 or 5")
			fs.BoolVar(&f.tar, "tar", false, "send in an order that targets of format tar can write")
		}
		fs.IntVar(&f.retry, "retries", 10, "`NUM` of times in a row that a lost connection to the server is made again")
		fs.StringVar(&f.spill, "tmpdir", "", "`DIRECTORY` for temporary files (default: the system's)")
		groups := [][]forwarded{connectionOptions}
		if leads {
			groups = append(groups, backupOptions)
		}
		if reads {
			groups = append(groups, readOptions)
		}
		if leads || reads {
			groups = append(groups, diskOptions)
		}
		if wal {
			groups = append(groups, walOptions)
		}
		parse := forward(fs, groups...)
		return func(ctx context.Context, a *app, _ []string) error {
			extra := []string{"-D", "/"}
			if !leads && reads && given(fs, diskOptions) {
				extra = append(extra, "--read=pfs") // what is read how is in the event log; the disk's options belong to this way
			}
			o, err := parse(name, extra...)
			if err != nil {
				return err
			}
			s := &polarcast.Sender{Backup: f.backup, Stages: stages, Options: o, Targets: targetsOf(f.targets), Command: polarcast.HidePasswords(a.argv),
				Keep: f.keep, Replicas: f.replicas, Retries: f.retry, SpillDir: f.spill, Tar: f.tar, Logger: a.logger,
				PFS: pfs.MountOptions{Library: o.PFSDLibrary, Cluster: o.PolarCluster, HostID: o.PolarHostID}}
			if err := f.sizes(s); err != nil {
				return err
			}
			switch {
			case s.Backup == "" && !leads:
				return a.usage("name the backup with --backup")
			case s.Backup == "":
				s.Backup = polarcast.NewID()
				a.m.Info("the backup's id is %s: continue it with --backup %[1]s if it is interrupted", s.Backup)
			case f.replicas < 0 || f.replicas > 5 || f.replicas > 0 && f.replicas%2 == 0:
				return a.usage("--replicas must be 1, 3 or 5")
			case f.keep < 0:
				return a.usage("--keep must not be negative")
			}
			if s.Source, err = a.source(o); err != nil {
				return err
			}
			client, closeAll, err := a.connect(ctx, f.replicas)
			if err != nil {
				return err
			}
			defer closeAll()
			s.Client = client
			return s.Run(ctx)
		}
	}}
}

// sizes reads the options that are numbers of bytes.
func (f *sendFlags) sizes(s *polarcast.Sender) (err error) {
	if f.maxLag != "" {
		if s.MaxLag, err = polarcast.ParseSize(f.maxLag); err != nil {
			return fmt.Errorf("--max-lag: %w", err)
		}
	}
	if f.buffer != "" {
		if s.Buffer, err = polarcast.ParseSize(f.buffer); err != nil {
			return fmt.Errorf("--buffer: %w", err)
		}
	}
	return nil
}
