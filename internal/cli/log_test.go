package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

func TestLogHandler(t *testing.T) {
	for _, c := range []struct {
		verbose bool
		want    string
	}{
		{false, "prog: warning: slow (target: a) (error: two lines)\nprog: error: lost (target: a)\n"},
		{true, "prog: begun (target: a)\nprog: warning: slow (target: a) (error: two lines)\nprog: error: lost (target: a)\n"},
	} {
		var out bytes.Buffer
		log := slog.New(NewLogHandler(NewMessages(&out, "/bin/prog", c.verbose))).With("target", "a")
		log.Debug("hidden")
		log.Info("begun")
		log.Warn("slow", "error", errors.New("two\n\tlines"))
		log.Error("lost")
		if out.String() != c.want {
			t.Errorf("verbose %v:\n%swant\n%s", c.verbose, out.String(), c.want)
		}
	}
}
