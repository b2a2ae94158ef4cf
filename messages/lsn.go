package messages

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in the WAL, in JSON a string as PostgreSQL prints it: "16/B374D848" (pg_lsn_out in
// src/backend/utils/adt/pg_lsn.c).
type LSN uint64

// String is the form that PostgreSQL prints.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// MarshalText implements encoding.TextMarshaler.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LSN) UnmarshalText(b []byte) error {
	hi, lo, ok := strings.Cut(string(b), "/")
	h, err1 := strconv.ParseUint(hi, 16, 32)
	o, err2 := strconv.ParseUint(lo, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return fmt.Errorf("%q is not an LSN, such as 16/B374D848", b)
	}
	*l = LSN(h<<32 | o)
	return nil
}
