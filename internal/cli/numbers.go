package cli

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
)

const spaces = " \t\n\v\f\r"

// integerStart is what C's strtol takes in base 10, after white space.
var integerStart = regexp.MustCompile(`^[+-]?[0-9]+`)

// PrefixInt reads an integer at the start of s as C's strtol does in base 10:
// leading white space is skipped, values out of range are clamped (overflow).
// rest is what follows it; without any digits that is all of s.
func PrefixInt(s string) (value int64, rest string, overflow bool) {
	trimmed := strings.TrimLeft(s, spaces)
	digits := integerStart.FindString(trimmed)
	if digits == "" {
		return 0, s, false
	}
	value, err := strconv.ParseInt(digits, 10, 64)
	return value, trimmed[len(digits):], errors.Is(err, strconv.ErrRange)
}

// ParseInt reads the value of the option name, which must lie in low..high, as
// option_parse_int in PostgreSQL's option_utils.c does, with its messages.
func ParseInt(value, name string, low, high int) (int, error) {
	n, rest, overflow := PrefixInt(value)
	if strings.TrimLeft(rest, spaces) != "" {
		return 0, Errorf("invalid value \"%s\" for option %s", value, name)
	}
	if overflow || n < int64(low) || n > int64(high) {
		return 0, Errorf("%s must be in range %d..%d", name, low, high)
	}
	return int(n), nil
}

// floatStart is what C's strtod takes, after white space.
var floatStart = regexp.MustCompile(`(?i)^[+-]?(0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(p[+-]?[0-9]+)?|([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|infinity|inf|nan)`)

// prefixFloat reads a number at the start of s as C's strtod does. ok is false
// when there is none; outOfRange stands for ERANGE.
func prefixFloat(s string) (value float64, rest string, ok, outOfRange bool) {
	trimmed := strings.TrimLeft(s, spaces)
	text := floatStart.FindString(trimmed)
	if text == "" {
		return 0, s, false, false
	}
	number := strings.ToLower(text)
	if strings.Contains(number, "0x") && !strings.Contains(number, "p") {
		number += "p0" // Go wants the exponent that C lets one leave out
	}
	value, err := strconv.ParseFloat(number, 64)
	// C also reports values that are too small to be held exactly.
	tiny := math.Abs(value) < 0x1p-1022 && strings.ContainsAny(mantissa(number), "123456789abcdef")
	if errors.Is(err, strconv.ErrRange) || tiny {
		return value, trimmed[len(text):], true, true
	}
	return value, trimmed[len(text):], true, false
}

// mantissa is number without its exponent and base.
func mantissa(number string) string {
	if hex, ok := strings.CutPrefix(strings.TrimLeft(number, "+-"), "0x"); ok {
		m, _, _ := strings.Cut(hex, "p")
		return m
	}
	m, _, _ := strings.Cut(number, "e")
	return m
}

// Transfer rates that a server accepts, in kB/s (MAX_RATE_LOWER and
// MAX_RATE_UPPER in PostgreSQL's basebackup.h).
const (
	MaxRateLower = 32
	MaxRateUpper = 1048576
)

// ParseMaxRate reads the value of -r/--max-rate in kB/s: a number with the
// suffix k (the default) or M, as parse_max_rate in pg_basebackup.c does.
func ParseMaxRate(src string) (int, error) {
	rate, rest, ok, outOfRange := prefixFloat(src)
	if !ok {
		return 0, Errorf("transfer rate \"%s\" is not a valid value", src)
	}
	if outOfRange {
		return 0, Errorf("invalid transfer rate \"%s\": Numerical result out of range", src)
	}
	if rate <= 0 {
		return 0, Errorf("transfer rate must be greater than zero")
	}
	suffix := strings.TrimLeft(rest, spaces)
	unit := suffix
	switch {
	case strings.HasPrefix(unit, "k"):
		unit = unit[1:]
	case strings.HasPrefix(unit, "M"):
		unit = unit[1:]
		rate *= 1024
	}
	if strings.TrimLeft(unit, spaces) != "" {
		return 0, Errorf("invalid --max-rate unit: \"%s\"", suffix)
	}
	if math.IsNaN(rate) || rate >= 1<<32 && rate < 1<<64 {
		return 0, Errorf("transfer rate \"%s\" exceeds integer range", src)
	}
	if rate < MaxRateLower || rate > MaxRateUpper {
		return 0, Errorf("transfer rate \"%s\" is out of range", src)
	}
	return int(rate), nil
}
