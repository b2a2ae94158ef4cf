package cli

import (
	"fmt"
	"os"
	"strings"
)

// Option is one option of a command line.
type Option struct {
	Long  string // without the dashes; empty when there is only a short form
	Short byte   // 0 when there is only a long form
	Arg   bool   // takes a value
	// Key tells the caller which option was found. Options with the same Key are
	// spellings of one option and do not make an abbreviation ambiguous.
	Key string
	// Tier orders options when an abbreviation fits several: only those of the
	// lowest tier count. So options that a program adds to those of an older one
	// never break an abbreviation that worked there.
	Tier int
}

// Scanner walks a command line as glibc's getopt_long does: long options may be
// abbreviated, short ones joined, a value may follow in the same or in the next
// argument, "--" ends the options, and other arguments may stand anywhere
// (unless POSIXLY_CORRECT is set).
type Scanner struct {
	argv0   string
	rest    []string
	options []Option
	posix   bool
	joined  string // what is left of an argument of joined short options
	extra   []string
}

// NewScanner starts at args[1]; args[0] is the program as it was called and
// stands in front of messages.
func NewScanner(args []string, options []Option) *Scanner {
	s := &Scanner{options: options}
	if len(args) > 0 {
		s.argv0, s.rest = args[0], args[1:]
	}
	_, s.posix = os.LookupEnv("POSIXLY_CORRECT")
	return s
}

// Next gives the next option and its value. At the end, more is false. An error
// is in the words of glibc's getopt.
func (s *Scanner) Next() (opt *Option, value string, more bool, err error) {
	if s.joined != "" {
		return s.short()
	}
	for len(s.rest) > 0 {
		arg := s.rest[0]
		s.rest = s.rest[1:]
		switch {
		case arg == "--":
			s.extra = append(s.extra, s.rest...)
			s.rest = nil
		case strings.HasPrefix(arg, "--"):
			return s.long(arg[2:])
		case len(arg) > 1 && arg[0] == '-':
			s.joined = arg[1:]
			return s.short()
		case s.posix:
			s.extra = append(append(s.extra, arg), s.rest...)
			s.rest = nil
		default:
			s.extra = append(s.extra, arg)
		}
	}
	return nil, "", false, nil
}

// Extra is the arguments that are no options, complete when Next has ended.
func (s *Scanner) Extra() []string { return s.extra }

func (s *Scanner) short() (*Option, string, bool, error) {
	c := s.joined[0]
	s.joined = s.joined[1:]
	for i := range s.options {
		o := &s.options[i]
		if o.Short != c || c == 0 {
			continue
		}
		if !o.Arg {
			return o, "", true, nil
		}
		value := s.joined
		s.joined = ""
		if value == "" {
			if len(s.rest) == 0 {
				return nil, "", false, s.errorf("option requires an argument -- '%c'", c)
			}
			value, s.rest = s.rest[0], s.rest[1:]
		}
		return o, value, true, nil
	}
	return nil, "", false, s.errorf("invalid option -- '%s'", string([]byte{c}))
}

func (s *Scanner) long(arg string) (*Option, string, bool, error) {
	name, value, hasValue := strings.Cut(arg, "=")
	o, err := s.lookup(name, arg)
	if err != nil {
		return nil, "", false, err
	}
	if !o.Arg {
		if hasValue {
			return nil, "", false, s.errorf("option '--%s' doesn't allow an argument", o.Long)
		}
		return o, "", true, nil
	}
	if !hasValue {
		if len(s.rest) == 0 {
			return nil, "", false, s.errorf("option '--%s' requires an argument", o.Long)
		}
		value, s.rest = s.rest[0], s.rest[1:]
	}
	return o, value, true, nil
}

// lookup finds the option that name spells or abbreviates; arg is the whole
// argument, for messages.
func (s *Scanner) lookup(name, arg string) (*Option, error) {
	var found []*Option
	for i := range s.options {
		o := &s.options[i]
		if o.Long == "" || !strings.HasPrefix(o.Long, name) {
			continue
		}
		if o.Long == name {
			return o, nil
		}
		if len(found) > 0 && o.Tier < found[0].Tier {
			found = found[:0]
		}
		if len(found) == 0 || o.Tier == found[0].Tier {
			found = append(found, o)
		}
	}
	if len(found) == 0 {
		return nil, s.errorf("unrecognized option '--%s'", arg)
	}
	for _, o := range found[1:] {
		if o.Key != found[0].Key {
			return nil, s.errorf("option '--%s' is ambiguous; possibilities:%s", arg, quoted(found))
		}
	}
	return found[0], nil
}

func quoted(options []*Option) string {
	var b strings.Builder
	for _, o := range options {
		fmt.Fprintf(&b, " '--%s'", o.Long)
	}
	return b.String()
}

func (s *Scanner) errorf(format string, args ...any) error {
	return &Error{
		Form: FormGetopt,
		Text: fmt.Sprintf(format, args...),
		Hint: TryHelp(ProgName(s.argv0)),
	}
}
