package basebackup

import (
	"path"
	"slices"
	"strings"

	"polarcast/internal/cli"
)

// maxHostID is the highest host id that the PFS SDK takes; the lowest is 1.
const maxHostID = 254

// maxJobs bounds --jobs; a source has at most this many connections or open
// ranges.
const maxJobs = 256

// ours takes the options that this program adds.
func (p *parser) ours(key, value string) (err error) {
	o := p.o
	switch key {
	case "nats":
		o.NATS.URLs, err = cli.ParseURLs(value, "--nats")
	case "nats-context":
		o.NATS.Context = value
	case "creds":
		o.NATS.Creds = value
	case "tls-ca":
		o.NATS.TLSCA = value
	case "tls-cert":
		o.NATS.TLSCert = value
	case "tls-key":
		o.NATS.TLSKey = value
	case "source":
		o.Source, err = exactly(value, value, "invalid --source argument \"%s\", must be \"auto\", \"stream\", or \"files\"", "auto", "stream", "files")
	case "read":
		o.Read, err = exactly(value, value, "invalid --read argument \"%s\", must be \"path\", \"pfs\", or \"sql\"", "path", "pfs", "sql")
	case "jobs":
		o.Jobs, err = cli.ParseInt(value, "--jobs", 1, maxJobs)
	case "codec":
		o.Codec, err = exactly(value, value, "invalid --codec argument \"%s\", must be \"lz4\", \"zstd\", or \"none\"", "lz4", "zstd", "none")
	case "stitch":
		o.Stitch = true
	case "resume":
		p.resume = true
	case "no-resume":
		o.Resume = false
	case "delta":
		o.Delta = true
	case "report":
		o.Report = value
	case "node":
		o.NodeIs, err = exactly(value, value, "invalid --node argument \"%s\", must be \"none\", \"replica\", \"standby\", or \"primary\"", "none", "replica", "standby", "primary")
	case "set":
		var s Setting
		s, err = parseSetting(value)
		o.Set = append(o.Set, s)
	case "start":
		o.Start = true
	case "local":
		o.LocalIs, err = exactly(value, value, "invalid --local argument \"%s\", must be \"full\", \"config\", or \"none\"", "full", "config", "none")
	case "pfsd-lib":
		o.PFSDLibrary = value
	case "force-mount":
		o.ForceMount = true
	}
	return err
}

// conflict is a pair of options, or of options with a value, that exclude each other.
type conflict struct {
	a, b string
	when bool
}

// checkOurs looks at what this program added, after all checks of the originals.
func (p *parser) checkOurs() error {
	o := p.o
	node := "--node=" + o.NodeIs
	isNode := o.NodeIs != "none"
	tar, target := o.Format == Tar, o.Target != ""
	files, stream := o.Source == "files", o.Source == "stream"
	for _, c := range []conflict{
		{"--resume", "--no-resume", p.resume && !o.Resume},
		{"--resume", "--target", p.resume && target},
		{"--resume", "--pgdata=-", p.resume && o.Stdout()},
		{"--stitch", "--source=stream", o.Stitch && stream},
		{"--read=" + o.Read, "--source=stream", o.Read != "" && stream},
		{"--source=files", "--target", files && target},
		{"--source=files", "--incremental", files && o.Incremental != ""},
		{"--source=files", "--compress=server-" + o.Compression.Method, files && o.Compression.Server},
		{"--delta", "--no-resume", o.Delta && !o.Resume},
		{"--delta", "--stitch", o.Delta && o.Stitch},
		{"--delta", "--format=tar", o.Delta && tar},
		{"--delta", "--target", o.Delta && target},
		{"--delta", "--incremental", o.Delta && o.Incremental != ""},
		{"--delta", "--polardata", o.Delta && o.PolarData != ""},
		{node, "--format=tar", isNode && tar},
		{node, "--target", isNode && target},
		{node, "--incremental", isNode && o.Incremental != ""},
		{node, "--local=none", isNode && o.LocalIs == "none"},
		{node, "--polardata", o.NodeIs == "replica" && o.PolarData != ""},
		{"--local=" + o.LocalIs, "--target", o.LocalIs != "full" && target},
		{"--local=" + o.LocalIs, "--incremental", o.LocalIs != "full" && o.Incremental != ""},
	} {
		if c.when {
			return p.usage("%s and %s are incompatible options", c.a, c.b)
		}
	}
	switch {
	case o.Start && !isNode:
		return p.usage("%s needs a node to be specified using --node", "--start")
	case o.Read == "pfs" && o.PolarHostID == 0:
		return p.usage("%s needs a host id to be specified using --polar_host_id, one that no node has that uses the server's disk", "--read=pfs")
	case len(o.Set) > 0 && !isNode:
		return p.usage("%s needs a node to be specified using --node", "--set")
	case o.ForceMount && o.PolarDiskName == "":
		return p.usage("%s needs a disk to be specified using --polar_disk_name", "--force-mount")
	}
	if err := p.checkNATS(); err != nil {
		return err
	}
	// What asks for ranges of files asks for that source.
	if o.Source == "auto" && (o.Read != "" || o.Stitch) {
		o.Source = "files"
		if err := p.checkOurs(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) checkNATS() error {
	n := &p.o.NATS
	if len(n.URLs) == 0 && n.Context == "" {
		for _, key := range []string{"creds", "tls-ca", "tls-cert", "tls-key"} {
			if p.given[key] {
				return p.usage("--%s needs a server to be specified using --nats or --nats-context", key)
			}
		}
	}
	if (n.TLSCert == "") != (n.TLSKey == "") {
		return p.usage("--tls-cert and --tls-key must be specified together")
	}
	return nil
}

// checkPolar is the checks of polar_basebackup 15, in its words. Its refusal of
// tar in shared mode is not among them: here that works. With --node a host id
// alone is the new node's polar_hostid, with --read=pfs the one for the source's disk.
func (p *parser) checkPolar() error {
	o := p.o
	switch {
	case o.Directory == "-" && o.PolarData != "":
		return bare("In shared storage mode, backup sets cannot be output to standard outputs.",
			"Use -D - without --polardata, or a directory.")
	case o.PolarData == "":
		hostID := o.PolarHostID != 0 && o.NodeIs == "none" && o.Read != "pfs"
		if o.PolarDiskName != "" || hostID || o.PolarCluster != "" && o.Read != "pfs" {
			return bare("In shared storage mode, the polardata, polar_disk_name and polar_host_id parameters must be specified or not.",
				"Add --polardata, the directory on the disk that receives the shared data.")
		}
	case o.Target != "":
		return p.usage("%s and %s are incompatible options", "--polardata", "--target")
	case o.PolarDiskName != "":
		if o.PolarHostID == 0 {
			return bare("In shared storage mode, polar_disk_name and polar_host_id must be specified.",
				"Add --polar_host_id, a host id that no other client of this disk has.")
		}
		return p.checkDisk()
	case o.Read == "pfs":
		// They are for the source's disk.
	case o.PolarHostID != 0 && o.NodeIs == "none", o.PolarCluster != "":
		return bare("In shared storage mode, The polardata, polar_disk_name and polar_host_id parameters must be specified or not.",
			"Add --polar_disk_name, the name of the disk, or leave out --polar_host_id and --polar_storage_cluster_name for a plain directory.")
	}
	return nil
}

// checkDisk holds the shared directory against the disk that it is on: the SDK
// takes names of at most 63 bytes, and paths that begin with the disk's name.
func (p *parser) checkDisk() error {
	disk, dir := p.o.PolarDiskName, path.Clean(p.o.PolarData)
	if len(disk) > 63 || strings.ContainsAny(disk, "/\x00") || disk == "." || disk == ".." {
		return p.usage("invalid --polar_disk_name \"%s\", must be the name of a block device without \"/\", of at most 63 bytes", disk)
	}
	if !strings.HasPrefix(dir, "/"+disk+"/") {
		return p.usage("--polardata \"%s\" is not below \"/%s/\", the disk of --polar_disk_name", p.o.PolarData, disk)
	}
	if slices.ContainsFunc(strings.Split(dir, "/"), func(e string) bool { return strings.HasPrefix(e, ".pfs-") }) {
		return p.usage("--polardata \"%s\" names a file of PFS itself", p.o.PolarData)
	}
	return nil
}

func bare(text, hint string) error {
	return &cli.Error{Form: cli.FormBare, Text: text, Hint: hint}
}
