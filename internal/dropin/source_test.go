package dropin

import (
	"testing"

	"polarcast/stages/source"
)

func TestDefaultJobs(t *testing.T) {
	for _, c := range []struct {
		read             string
		processors, want int
	}{
		{source.ReadPath, 1, 1}, {source.ReadPath, 2, 1}, {source.ReadPath, 4, 2}, {source.ReadPath, 64, 4},
		{source.ReadSQL, 1, 1}, {source.ReadSQL, 2, 2}, {source.ReadPFS, 64, 4},
	} {
		if got := defaultJobs(c.read, c.processors); got != c.want {
			t.Errorf("%s on %d processors: %d workers, want %d", c.read, c.processors, got, c.want)
		}
	}
}
