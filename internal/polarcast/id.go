package polarcast

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// NewID names a backup by its time, for people, and four random bytes, for uniqueness.
func NewID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails on the supported platforms
	return time.Now().UTC().Format("20060102T150405") + "-" + hex.EncodeToString(b[:])
}
