package basebackup

import (
	"path"
	"strings"

	"polarcast/internal/cli"
)

// check is the checks of combinations in the order of the original's main().
func (p *parser) check() error {
	for _, step := range []func() error{
		p.checkOutput, p.checkPolar, p.checkCompression, p.checkWAL, p.checkSlot,
		p.checkWALDir, p.checkReports, p.checkForServer, p.checkOurs,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) checkOutput() error {
	o := p.o
	if p.target != "client" { // the same as no target
		o.Target = p.target
	}
	noTarget := o.Target == "" && (!p.given["target"] || p.target == "client")
	switch {
	case !noTarget && o.Format != "":
		return p.usage("cannot specify both format and backup target")
	case !p.given["pgdata"] && noTarget:
		return p.usage("must specify output directory or backup target")
	case p.given["pgdata"] && !noTarget:
		return p.usage("cannot specify both output directory and backup target")
	case !noTarget && (o.Target == "" || o.Target[0] == ':'):
		return p.usage("the backup target of -t/--target is empty")
	case p.given["pgdata"] && o.Directory == "":
		return p.usage("the output directory of -D/--pgdata is empty")
	}
	if o.Format == "" {
		o.Format = Plain
	}
	o.Target, o.TargetDetail, o.HasTargetDetail = strings.Cut(o.Target, ":")
	return nil
}

func (p *parser) checkCompression() error {
	c, target := &p.o.Compression, p.o.Target != ""
	c.Server = c.location == onServer || c.location == "" && target
	if c.Server {
		return nil // the server judges it
	}
	if err := c.check(); err != nil {
		return err
	}
	if target {
		return p.usage("client-side compression is not possible when a backup target is specified")
	}
	if p.o.Format == Plain && c.Method != "none" {
		return p.usage("only tar mode backups can be compressed")
	}
	return nil
}

func (p *parser) checkWAL() error {
	o := p.o
	stream := o.WALMethod == "stream"
	switch {
	case o.Target != "" && stream:
		return p.usage("WAL cannot be streamed when a backup target is specified")
	case o.Stdout() && stream:
		return p.usage("cannot stream write-ahead logs in tar mode to stdout")
	case p.given["slot"] && !stream:
		return p.usage("replication slots can only be used with WAL streaming")
	}
	return nil
}

func (p *parser) checkSlot() error {
	o, named := p.o, p.given["slot"]
	switch {
	case o.NoSlot && named:
		return p.usage("--no-slot cannot be used with slot name")
	case o.CreateSlot && !named:
		return p.usage("%s needs a slot to be specified using --slot", "--create-slot")
	case named && o.Slot == "":
		return p.usage("the replication slot name of -S/--slot is empty")
	}
	return nil
}

func (p *parser) checkWALDir() error {
	o := p.o
	if !p.given["waldir"] {
		return nil
	}
	if o.Target != "" {
		return p.usage("WAL directory location cannot be specified along with a backup target")
	}
	if o.Format != Plain {
		return p.usage("WAL directory location can only be specified in plain mode")
	}
	o.WALDir = canonical(o.WALDir)
	if !path.IsAbs(o.WALDir) {
		return p.usage("WAL directory location must be an absolute path")
	}
	return nil
}

// checkReports is the checks of progress reporting and of the manifest.
func (p *parser) checkReports() error {
	o := p.o
	switch {
	case o.Progress && o.NoEstimateSize:
		return p.usage("%s and %s are incompatible options", "--progress", "--no-estimate-size")
	case o.NoManifest && p.given["manifest-checksums"]:
		return p.usage("%s and %s are incompatible options", "--no-manifest", "--manifest-checksums")
	case o.NoManifest && o.ManifestForceEncode:
		return p.usage("%s and %s are incompatible options", "--no-manifest", "--manifest-force-encode")
	}
	return nil
}

// checkForServer says before the server is contacted what the original, or the
// server, says after.
func (p *parser) checkForServer() error {
	o := p.o
	if o.Target == "client" { // only with a detail; else it is no target
		return cli.Errorf("target \"client\" does not accept a target detail")
	}
	if o.Target != "" && o.WriteRecoveryConf {
		return cli.Errorf("recovery configuration cannot be written when a backup target is used")
	}
	if len(o.Label) > maxPath {
		return cli.Errorf("backup label too long (max %d bytes)", maxPath)
	}
	if p.given["manifest-checksums"] {
		switch strings.ToLower(o.ManifestChecksums) {
		case "none", "crc32c", "sha224", "sha256", "sha384", "sha512":
		default:
			return cli.Errorf("unrecognized checksum algorithm: \"%s\"", o.ManifestChecksums)
		}
	}
	return nil
}
