package dropin

import (
	"encoding/json"
	"testing"
	"time"
)

func TestSecondsHaveThreeDigits(t *testing.T) {
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for ms := time.Duration(1); ms < 100_000; ms += 7 {
		s := phases{start: start, checkpoint: start.Add(ms * time.Millisecond)}.seconds(start)
		b, err := json.Marshal(s.Checkpoint)
		if err != nil || len(b) > len("99.999") {
			t.Fatalf("%d ms: %s, %v", ms, b, err)
		}
	}
}
