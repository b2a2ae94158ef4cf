package cli

import (
	"slices"
	"strings"
	"testing"
)

var testOptions = []Option{
	{Long: "alpha", Short: 'a', Key: "alpha"},
	{Long: "beta", Short: 'b', Arg: true, Key: "beta"},
	{Long: "better", Key: "better"},
	{Long: "name_one", Arg: true, Key: "name"},
	{Long: "name_two", Arg: true, Key: "name"},
	{Long: "alphabet", Key: "alphabet", Tier: 1},
	{Long: "alpine", Key: "alpine", Tier: 1},
}

// scan gives what was found as "key=value key", then the extra arguments, or the error.
func scan(args ...string) string {
	s := NewScanner(append([]string{"/bin/prog"}, args...), testOptions)
	var found []string
	for {
		o, value, more, err := s.Next()
		if err != nil {
			return "error: " + err.Error()
		}
		if !more {
			break
		}
		if o.Arg {
			found = append(found, o.Key+"="+value)
		} else {
			found = append(found, o.Key)
		}
	}
	return strings.Join(found, " ") + " | " + strings.Join(s.Extra(), " ")
}

func TestScanner(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, " | "},
		{[]string{"-ab", "x"}, "alpha beta=x | "},
		{[]string{"-abx"}, "alpha beta=x | "},
		{[]string{"-b", "--", "-b="}, "beta=-- beta== | "},
		{[]string{"--beta=x", "--beta", "y", "--beta="}, "beta=x beta=y beta= | "},
		{[]string{"x", "-a", "y", "--", "-a", "--"}, "alpha | x y -a --"},
		{[]string{"-", "-a"}, "alpha | -"},
		{[]string{"--alp"}, "alpha | "},
		{[]string{"--alpi", "--alphab"}, "alpine alphabet | "},
		{[]string{"--name=1", "--name_t=2"}, "name=1 name=2 | "},
		{[]string{"--bet=3"}, "error: option '--bet=3' is ambiguous; possibilities: '--beta' '--better'"},
		{[]string{"--bett=3"}, "error: option '--better' doesn't allow an argument"},
		{[]string{"--name_o"}, "error: option '--name_one' requires an argument"},
		{[]string{"-ab"}, "error: option requires an argument -- 'b'"},
		{[]string{"-aq"}, "error: invalid option -- 'q'"},
		{[]string{"--nope=1"}, "error: unrecognized option '--nope=1'"},
		{[]string{"-\xff"}, "error: invalid option -- '\xff'"},
		{[]string{"-a\x00"}, "error: invalid option -- '\x00'"},
	} {
		if got := scan(c.args...); got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

func TestScannerPosix(t *testing.T) {
	t.Setenv("POSIXLY_CORRECT", "")
	if got, want := scan("-a", "x", "-a"), "alpha | x -a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add("-ab\x01--beta=\x01--\x01x")
	f.Add("--alp\x01-bx\x01-")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x01")
		s := NewScanner(append([]string{"p"}, args...), testOptions)
		for range len(line) + 2 {
			_, _, more, err := s.Next()
			if err != nil {
				return
			}
			if !more {
				for _, x := range s.Extra() {
					if !slices.Contains(args, x) {
						t.Errorf("%q: extra argument %q was not given", args, x)
					}
				}
				return
			}
		}
		t.Errorf("%q: no end", args)
	})
}

func TestParseMaxRate(t *testing.T) {
	for in, want := range map[string]int{"32": 32, "64k": 64, " 1.5M": 1536, "1024M": 1048576, "0x40": 64, "0x1p6 k ": 64, "1e2": 100, "99.9": 99} {
		if got, err := ParseMaxRate(in); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
}
