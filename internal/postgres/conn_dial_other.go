//go:build !linux

package postgres

import (
	"errors"
	"net"
)

// setUserTimeout does nothing where the operating system has no such option, as libpq.
func setUserTimeout(uintptr, int) error { return nil }

func checkPeer(net.Conn, string) error {
	return errors.New("requirepeer parameter is not supported on this platform")
}
