package basebackup

import (
	"errors"
	"strings"
	"testing"

	"polarcast/internal/cli"
)

// FuzzParse: any command line gives options that hold together, or an error with
// words for a person.
func FuzzParse(f *testing.F) {
	for _, line := range badLines {
		f.Add(line)
	}
	f.Add("-D|d|--polardata=/x/y|--polar_disk=x|--polar_h=3|--node=standby|--set=a=b|--nats=a,b")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := Parse(append([]string{"p"}, strings.Split(line, "|")...))
		if err != nil {
			var e *cli.Error
			if !errors.As(err, &e) || e.Text+e.Hint == "" {
				t.Fatalf("%q: %#v", line, err)
			}
			return
		}
		if o.Action != Run {
			return
		}
		if (o.Directory == "") == (o.Target == "") {
			t.Errorf("%q: directory %q and target %q", line, o.Directory, o.Target)
		}
		if o.Target != "" && !o.Compression.Server || o.Format == Plain && o.Compression.Client() != "none" {
			t.Errorf("%q: compression %+v", line, o.Compression)
		}
		if len(o.Fingerprint()) != 64 {
			t.Errorf("%q: fingerprint %q", line, o.Fingerprint())
		}
	})
}
