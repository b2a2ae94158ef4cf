package pfs

import "time"

// SetCloseTimeout changes how long Close waits, until the returned function is called.
func SetCloseTimeout(d time.Duration) (restore func()) {
	old := closeTimeout
	closeTimeout = d
	return func() { closeTimeout = old }
}

// SysfsSize is the way to a disk's size for those who may not read the device.
var SysfsSize = sysfsSize
