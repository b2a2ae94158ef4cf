package basebackup

import (
	"math"
	"strings"
	"time"

	"polarcast/internal/cli"
)

// parser is a command line that is being read.
type parser struct {
	o *Options
	// given holds the keys of the options that were on the command line.
	given map[string]bool
	// target is -t as given, before its detail is split off.
	target string
	resume bool // --resume was given
}

// Parse reads a command line; args[0] is the program as it was called. An error
// is a [cli.Error], to be printed with [cli.Messages.Fail]; the exit status is 1.
// The options that come with it are as far as the command line was read.
// Help and version are asked for by the first argument only, as in the original.
func Parse(args []string) (*Options, error) {
	argv0 := ""
	if len(args) > 0 {
		argv0 = args[0]
	}
	p := &parser{o: defaults(argv0), given: map[string]bool{}}
	if len(args) > 1 {
		switch args[1] {
		case "--help", "-?":
			p.o.Action = Help
			return p.o, nil
		case "--version", "-V":
			p.o.Action = Version
			return p.o, nil
		}
	}
	scan := cli.NewScanner(args, table)
	for {
		opt, value, more, err := scan.Next()
		if err != nil {
			return p.o, err
		}
		if !more {
			break
		}
		p.given[opt.Key] = true
		if err := p.option(opt.Key, value); err != nil {
			return p.o, err
		}
	}
	if extra := scan.Extra(); len(extra) > 0 {
		return p.o, p.usage("too many command-line arguments (first is \"%s\")", extra[0])
	}
	if err := p.check(); err != nil {
		return p.o, err
	}
	return p.o, nil
}

func (p *parser) usage(format string, args ...any) error {
	return cli.UsageErrorf(p.o.ProgName, format, args...)
}

// option takes one option of the originals, or leaves it to ours.
func (p *parser) option(key, value string) (err error) {
	o := p.o
	switch key {
	case "help", "version":
		// Not the first argument: the original falls through to its hint.
		return &cli.Error{Hint: cli.TryHelp(o.ProgName)}
	case "pgdata":
		o.Directory = value
	case "format":
		o.Format, err = choice(value, "invalid output format \"%s\", must be \"plain\" or \"tar\"", Plain, Tar)
	case "incremental":
		o.Incremental = value
	case "checkpoint":
		var mode string
		mode, err = exactly(strings.ToLower(value), value, "invalid checkpoint argument \"%s\", must be \"fast\" or \"spread\"", "fast", "spread")
		o.FastCheckpoint = mode == "fast"
	case "create-slot":
		o.CreateSlot = true
	case "max-rate":
		o.MaxRate, err = cli.ParseMaxRate(value)
	case "write-recovery-conf":
		o.WriteRecoveryConf = true
	case "slot":
		o.Slot = value
	case "target":
		p.target = value
	case "tablespace-mapping":
		var m Mapping
		m, err = parseMapping(value)
		o.Tablespaces = append(o.Tablespaces, m)
	case "wal-method":
		o.WALMethod, err = choice(value, "invalid wal-method option \"%s\", must be \"fetch\", \"stream\", or \"none\"", "none", "fetch", "stream")
	case "gzip":
		o.Compression = Compression{Method: "gzip"}
	case "compress":
		o.Compression = parseCompress(value)
	case "label":
		o.Label = value
	case "status-interval":
		var seconds int
		seconds, err = cli.ParseInt(value, "-s/--status-interval", 0, math.MaxInt32/1000)
		o.StatusInterval = time.Duration(seconds) * time.Second
	case "waldir":
		o.WALDir = value
	case "manifest-checksums":
		o.ManifestChecksums = value
	case "sync-method":
		o.SyncMethod, err = exactly(value, value, "unrecognized sync method: %s", "fsync", "syncfs")
	default:
		return p.simple(key, value)
	}
	return err
}

// simple takes the options of the originals whose values need no reading.
func (p *parser) simple(key, value string) error {
	o := p.o
	switch key {
	case "no-clean":
		o.NoClean = true
	case "no-sync":
		o.NoSync = true
	case "dbname":
		o.ConnString = value
	case "host":
		o.Host = value
	case "port":
		o.Port = value
	case "username":
		o.User = value
	case "no-password":
		o.Password = PasswordNever
	case "password":
		o.Password = PasswordForce
	case "verbose":
		o.Verbose++
	case "progress":
		o.Progress = true
	case "no-slot":
		o.NoSlot = true
	case "no-verify-checksums":
		o.NoVerifyChecksums = true
	case "no-estimate-size":
		o.NoEstimateSize = true
	case "no-manifest":
		o.NoManifest = true
	case "manifest-force-encode":
		o.ManifestForceEncode = true
	case "polardata":
		o.PolarData = value
	case "polar_disk_name":
		o.PolarDiskName = value
	case "polar_host_id":
		id, err := cli.ParseInt(value, "--polar_host_id", 1, maxHostID)
		o.PolarHostID = id
		return err
	case "polar_storage_cluster_name":
		o.PolarCluster = value
	default:
		return p.ours(key, value)
	}
	return nil
}

// choice finds the word that value is, in full or by its first letter, as the
// original does for -F and -X.
func choice(value, complaint string, words ...string) (string, error) {
	for _, w := range words {
		if value == w || value == w[:1] {
			return w, nil
		}
	}
	return "", cli.Errorf(complaint, value)
}

// exactly finds the word that value is; given is what the complaint shows.
func exactly(value, given, complaint string, words ...string) (string, error) {
	for _, w := range words {
		if value == w {
			return w, nil
		}
	}
	return "", cli.Errorf(complaint, given)
}
