package basebackup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
)

// Fingerprint identifies a backup for a rerun: an interrupted backup is continued
// by a command line with an equal fingerprint. It covers what decides which bytes
// come from where and go where. Left out is what may change between the runs:
// rates, workers, messages, waiting, durability, passwords, the way to NATS, how
// the node is set up in its last step.
func (o *Options) Fingerprint() string {
	type identity struct {
		Version                                int
		Directory, Format, Incremental         string
		Target, TargetDetail                   string
		RecoveryConf                           bool
		Tablespaces                            []Mapping
		WALDir, WALMethod                      string
		Server                                 bool
		Method, Detail                         string
		Slot                                   string
		NoSlot                                 bool
		Label                                  string
		Manifest, ManifestChecksums            string
		NoVerify                               bool
		ConnString, Host, Port                 string
		PolarData, PolarDiskName, PolarCluster string
		Source                                 string
		Stitch                                 bool
		Node, Local                            string
	}
	id := identity{
		Version:   1,
		Directory: absolute(o.Directory, o.Stdout()), Format: o.Format, Incremental: absolute(o.Incremental, false),
		Target: o.Target, TargetDetail: o.TargetDetail, RecoveryConf: o.WriteRecoveryConf,
		Tablespaces: o.Tablespaces, WALDir: o.WALDir, WALMethod: o.WALMethod,
		Server: o.Compression.Server, Method: o.Compression.Method, Detail: o.Compression.Detail,
		Slot: o.Slot, NoSlot: o.NoSlot, Label: o.Label,
		Manifest: o.Manifest(), ManifestChecksums: strings.ToLower(o.ManifestChecksums), NoVerify: o.NoVerifyChecksums,
		ConnString: withoutPassword(o.ConnString), Host: o.Host, Port: o.Port,
		PolarData: o.PolarData, PolarDiskName: o.PolarDiskName, PolarCluster: o.PolarCluster,
		Source: o.Source, Stitch: o.Stitch, Node: o.NodeIs, Local: o.LocalIs,
	}
	if o.PolarDiskName == "" {
		id.PolarData = absolute(o.PolarData, false)
	}
	text, err := json.Marshal(id)
	if err != nil {
		// Only strings, numbers and booleans are in it; none of them can fail.
		text = []byte(o.Directory)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// A password in a connection string: as a keyword or a parameter of a URI, and
// behind the user of a URI.
var (
	keyPassword = regexp.MustCompile(`\bpassword\s*=\s*('(\\.|[^'\\])*'|(\\.|[^\s&\\])*)`)
	uriPassword = regexp.MustCompile(`^([a-z]+://[^/?#@:]*)(:[^/?#@]*)@`)
)

func withoutPassword(conn string) string {
	if strings.Contains(conn, "://") {
		if m := uriPassword.FindStringSubmatchIndex(conn); m != nil {
			conn = conn[:m[4]] + conn[m[5]:]
		}
	}
	return keyPassword.ReplaceAllString(conn, "password=")
}

// absolute makes two ways of naming a directory equal.
func absolute(dir string, stdout bool) string {
	if dir == "" || stdout {
		return dir
	}
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
