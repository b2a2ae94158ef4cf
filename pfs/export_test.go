package pfs

import "time"

// SetCloseTimeout changes how long Close waits, until the returned function is called.
func SetCloseTimeout(d time.Duration) (restore func()) {
	old := closeTimeout
	closeTimeout = d
	return func() { closeTimeout = old }
}
