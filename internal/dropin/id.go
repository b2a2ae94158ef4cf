package dropin

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// newID names a backup by its time, for people, and four random bytes, for uniqueness.
func newID() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return time.Now().UTC().Format("20060102T150405") + "-" + hex.EncodeToString(b[:])
}
