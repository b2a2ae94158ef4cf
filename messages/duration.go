package messages

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Duration is a time span, in JSON a number of seconds that may have a fraction.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).Seconds()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s float64
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	ns := math.Round(s * float64(time.Second))
	// The bound itself is not an int64: 2^63 as a float64.
	if ns >= math.MaxInt64 || ns <= math.MinInt64 {
		return fmt.Errorf("%s seconds are more than 292 years", b)
	}
	*d = Duration(ns)
	return nil
}
