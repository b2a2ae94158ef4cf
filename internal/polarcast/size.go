package polarcast

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units are powers of 1024, as PostgreSQL's settings have them.
var units = map[string]float64{"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "tib": 1 << 40}

// ParseSize reads a number of bytes such as "1073741824", "512MB" or "1.5G". Units are powers of 1024; case does not matter.
func ParseSize(s string) (int64, error) {
	t := strings.TrimSpace(s)
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(t)
	}
	n, err := strconv.ParseFloat(t[:i], 64)
	unit, ok := units[strings.ToLower(strings.TrimSpace(t[i:]))]
	if err != nil || !ok {
		return 0, fmt.Errorf("\"%s\" is not a size: give a number of bytes, perhaps with a unit (kB, MB, GB, TB)", s)
	}
	if v := n * unit; v < math.MaxInt64/2 {
		return int64(v), nil
	}
	return 0, fmt.Errorf("size \"%s\" is too large", s)
}

// ParseRate reads a rate such as "50MB" or "50MB/s" in bytes per second; "0", "none", "off" and "unlimited" take a limit away and are 0.
func ParseRate(s string) (int64, error) {
	switch t := strings.ToLower(strings.TrimSpace(s)); t {
	case "none", "off", "unlimited":
		return 0, nil
	default:
		n, err := ParseSize(strings.TrimSuffix(t, "/s"))
		if err != nil {
			return 0, fmt.Errorf("\"%s\" is not a rate: give bytes per second, such as 50MB, or \"none\"", s)
		}
		return n, nil
	}
}

// FormatSize writes bytes for people.
func FormatSize(n float64) string {
	for _, u := range []string{"B", "kB", "MB", "GB"} {
		if n < 1000 {
			if u == "B" {
				return fmt.Sprintf("%.0f %s", n, u)
			}
			return fmt.Sprintf("%.1f %s", n, u)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1f TB", n)
}

// FormatRate writes bytes per second for people.
func FormatRate(n float64) string { return FormatSize(n) + "/s" }
