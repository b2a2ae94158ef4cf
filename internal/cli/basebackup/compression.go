package basebackup

import (
	"fmt"
	"strings"

	"polarcast/internal/cli"
)

// Where compression of -Z happens.
const (
	onClient = "client"
	onServer = "server"
)

// Compression is what -z and -Z ask for. Parsing and limits are those of
// PostgreSQL's src/common/compression.c.
type Compression struct {
	Server    bool   // the server compresses, else this program
	Method    string // "none", "gzip", "lz4" or "zstd"; with Server as given, the server decides
	Detail    string // as given after the colon: a level, or "level=9,workers=2,long"
	HasDetail bool
	// What Detail means, for compression by this program.
	Level   int // gzip 1..9 or -1, lz4 0..12, zstd -131072..22; the defaults are -1, 0 and 3
	Workers int // zstd
	Long    bool

	location string // onClient, onServer, or empty when it was not said
}

// Levels that zstd 1.5 takes, and its default.
const (
	zstdMinLevel     = -131072
	zstdMaxLevel     = 22
	zstdDefaultLevel = 3
	gzipDefaultLevel = -1
)

// Client is the method by which this program compresses, "none" when it does not.
func (c *Compression) Client() string {
	if c.Server {
		return "none"
	}
	return c.Method
}

// ServerOptions gives the values for BASE_BACKUP's COMPRESSION and
// COMPRESSION_DETAIL; an empty method means that neither is sent.
func (c *Compression) ServerOptions() (method, detail string) {
	if !c.Server {
		return "", ""
	}
	return c.Method, c.Detail
}

// parseCompress splits the value of -Z into where, method and detail.
func parseCompress(value string) Compression {
	var c Compression
	spec := value
	switch {
	case strings.HasPrefix(spec, "server-"):
		c.location, spec = onServer, spec[len("server-"):]
	case strings.HasPrefix(spec, "client-"):
		c.location, spec = onClient, spec[len("client-"):]
	}
	// A bare number is a level of gzip, and 0 is none, as it was before 15.
	if level, rest, _ := cli.PrefixInt(spec); rest == "" {
		if level == 0 {
			c.Method = "none"
		} else {
			c.Method, c.Detail, c.HasDetail = "gzip", spec, true
		}
		return c
	}
	c.Method, c.Detail, c.HasDetail = strings.Cut(spec, ":")
	return c
}

// check reads the detail for compression by this program.
func (c *Compression) check() error {
	switch c.Method {
	case "none":
		c.Level = 0
	case "gzip":
		c.Level = gzipDefaultLevel
	case "lz4":
		c.Level = 0
	case "zstd":
		c.Level = zstdDefaultLevel
	default:
		return cli.Errorf("unrecognized compression algorithm: \"%s\"", c.Method)
	}
	set, problem := c.parseDetail()
	if problem == "" {
		problem = c.checkLimits(set)
	}
	if problem != "" {
		return cli.Errorf("invalid compression specification: %s", problem)
	}
	return nil
}

// parseDetail fills Level, Workers and Long, and says which of the keywords were
// there. problem is empty when all is well.
func (c *Compression) parseDetail() (set map[string]bool, problem string) {
	set = map[string]bool{}
	if !c.HasDetail {
		return set, ""
	}
	if level, rest, _ := cli.PrefixInt(c.Detail); rest == "" && c.Detail != "" {
		c.Level = int(int32(level)) // the original keeps it in an int, too
		return set, ""
	}
	for item := range strings.SplitSeq(c.Detail, ",") {
		keyword, value, hasValue := strings.Cut(item, "=")
		set[keyword] = true
		switch keyword {
		case "":
			return set, "found empty string where a compression option was expected"
		case "level":
			c.Level, problem = integerValue(keyword, value, hasValue)
		case "workers":
			c.Workers, problem = integerValue(keyword, value, hasValue)
		case "long":
			c.Long, problem = booleanValue(keyword, value, hasValue)
		default:
			problem = fmt.Sprintf("unrecognized compression option: \"%s\"", keyword)
		}
		if problem != "" {
			return set, problem
		}
	}
	return set, ""
}

func integerValue(keyword, value string, hasValue bool) (int, string) {
	if !hasValue {
		return 0, fmt.Sprintf("compression option \"%s\" requires a value", keyword)
	}
	n, rest, _ := cli.PrefixInt(value)
	if value == "" || rest != "" {
		return 0, fmt.Sprintf("value for compression option \"%s\" must be an integer", keyword)
	}
	return int(int32(n)), ""
}

func booleanValue(keyword, value string, hasValue bool) (bool, string) {
	if !hasValue {
		return true, ""
	}
	switch strings.ToLower(value) {
	case "yes", "on", "1":
		return true, ""
	case "no", "off", "0":
		return false, ""
	}
	return false, fmt.Sprintf("value for compression option \"%s\" must be a Boolean value", keyword)
}

func (c *Compression) checkLimits(set map[string]bool) string {
	low, high, standard := 1, 1, 0
	switch c.Method {
	case "gzip":
		high, standard = 9, gzipDefaultLevel
	case "lz4":
		high = 12
	case "zstd":
		low, high, standard = zstdMinLevel, zstdMaxLevel, zstdDefaultLevel
	case "none":
		if c.Level != 0 {
			return "compression algorithm \"none\" does not accept a compression level"
		}
	}
	if (c.Level < low || c.Level > high) && c.Level != standard {
		return fmt.Sprintf("compression algorithm \"%s\" expects a compression level between %d and %d (default at %d)",
			c.Method, low, high, standard)
	}
	if set["workers"] && c.Method != "zstd" {
		return fmt.Sprintf("compression algorithm \"%s\" does not accept a worker count", c.Method)
	}
	if set["long"] && c.Method != "zstd" {
		return fmt.Sprintf("compression algorithm \"%s\" does not support long-distance mode", c.Method)
	}
	return ""
}
